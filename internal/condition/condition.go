// Package condition evaluates what users write in CEL (https://cel.dev): conditions
// of a trust policy over what an attestation says, and rules over a live object. They
// reach no network, no clock and no file, and are bounded in size, time and memory.
package condition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"github.com/google/cel-go/interpreter"

	"sealift.dev/internal/text"
)

const (
	// MaxExpressionBytes is the length of the longest expression.
	MaxExpressionBytes = 4096
	// MaxCost is what one evaluation may cost; a step of the interpreter costs about
	// 1, and so do ten bytes of text that it looks at: a second at worst.
	MaxCost = 1_000_000

	maxNesting    = 4    // of macros such as all and exists
	maxDepth      = 64   // of the expression
	maxNodes      = 4096 // of the expression, macros expanded
	maxRegexSteps = 4096 // of a regular expression, which is compiled
	interruptEach = 128  // iterations between two looks at the context
	shown         = 160  // bytes of an expression in an error
)

// ErrLimit is the cause of an evaluation that was given up at a bound.
var ErrLimit = errors.New("a limit was exceeded")

// Program is a condition that compiles. It may be used at the same time by many.
type Program struct {
	expression string
	scope      Scope
	program    cel.Program
}

// Compile checks that expression is CEL of type bool over the variables of scope,
// and that it is within the limits. It knows the standard library, and of the
// extensions charAt, indexOf, lastIndexOf, lowerAscii, upperAscii, split, substring,
// trim and sets. Patterns for matches are literals.
func Compile(expression string, scope Scope) (_ *Program, err error) {
	if len(expression) > MaxExpressionBytes {
		return nil, fmt.Errorf("the condition %s has %d bytes, more than the limit of %d", quote(expression), len(expression), MaxExpressionBytes)
	}
	if strings.TrimSpace(expression) == "" {
		return nil, errors.New("the condition is empty")
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the condition %s: CEL gave up on it", quote(expression))
		}
	}()
	return compile(expression, scope)
}

func compile(expression string, scope Scope) (*Program, error) {
	env, err := environment(scope)
	if err != nil {
		return nil, fmt.Errorf("preparing CEL: %w", err)
	}
	checked, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, fmt.Errorf("the condition %s: %s", quote(expression), problem(issues))
	}
	if kind := checked.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("the condition %s is of type %s, not bool", quote(expression), kind)
	}
	if err := known(checked, scope); err != nil {
		return nil, fmt.Errorf("the condition %s: %w", quote(expression), err)
	}
	if estimate, err := env.EstimateCost(checked, sizes{}); err != nil || estimate.Min > MaxCost {
		return nil, fmt.Errorf("the condition %s costs at least %d, more than the limit of %d", quote(expression), estimate.Min, MaxCost)
	}
	program, err := env.Program(checked,
		cel.EvalOptions(cel.OptOptimize),
		cel.CostTracking(costs{}),
		cel.CostTrackerOptions(setCosts()...),
		cel.CostLimit(MaxCost),
		cel.InterruptCheckFrequency(interruptEach))
	if err != nil {
		return nil, fmt.Errorf("the condition %s: %s", quote(expression), text.Line(err.Error(), shown))
	}
	return &Program{expression: expression, scope: scope, program: program}, nil
}

func environment(scope Scope) (*cel.Env, error) {
	return cel.NewEnv(slices.Concat(scope.declarations(), []cel.EnvOption{
		ext.Strings(ext.StringsVersion(0)),
		ext.Sets(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(MaxExpressionBytes),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNodeLimit(maxNodes),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(),
			cel.ValidateComprehensionNestingLimit(maxNesting),
		),
	})...)
}

// Eval says whether the condition is true of the input. Its errors name the
// expression; errors.Is ErrLimit where a bound was met.
func (p *Program) Eval(ctx context.Context, in Input) (bool, error) {
	vars, err := p.scope.take(in)
	if err != nil {
		return false, fmt.Errorf("evaluating the condition %s: %w", quote(p.expression), err)
	}
	value, _, err := p.program.ContextEval(ctx, vars)
	var cancelled interpreter.EvalCancelledError
	switch {
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded:
		return false, fmt.Errorf("evaluating the condition %s: %w: it costs more than %d", quote(p.expression), ErrLimit, MaxCost)
	case ctx.Err() != nil:
		return false, fmt.Errorf("evaluating the condition %s: %w", quote(p.expression), context.Cause(ctx))
	case err != nil:
		return false, fmt.Errorf("evaluating the condition %s: %s", quote(p.expression), text.Line(err.Error(), shown))
	}
	result, isBool := value.Value().(bool)
	if !isBool {
		return false, fmt.Errorf("evaluating the condition %s: it gave a value of type %s, not true or false", quote(p.expression), value.Type().TypeName())
	}
	return result, nil
}

// problem is the first thing that the compiler complains about, on one line.
func problem(issues *cel.Issues) string {
	first := issues.Errors()[0]
	return text.Line(fmt.Sprintf("line %d, column %d: %s", first.Location.Line(), first.Location.Column()+1, first.Message), 2*shown)
}

func quote(expression string) string { return fmt.Sprintf("%q", text.Line(expression, shown)) }

package condition

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

const (
	maxInputDepth = 100
	maxInputNodes = 1 << 17
	maxInputBytes = 1 << 20 // of all strings
	wholeNumbers  = 1 << 53 // a float64 holds every integer up to it
)

// withheld are functions whose result may be much larger than what they are
// given: their cost is known too late.
func withheld() []string { return []string{"replace"} }

// known refuses what CEL would find out only when it evaluates: fields that
// variables never have, and functions that are withheld.
func known(checked *cel.Ast, scope Scope) error {
	var problem error
	note := func(variable, field string) {
		if allowed := scope.fields[variable]; problem == nil && allowed != nil && !slices.Contains(allowed, field) {
			problem = fmt.Errorf("%s has no field %q; hint: it has %s", variable, field, strings.Join(allowed, ", "))
		}
	}
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind:
			if operand := e.AsSelect().Operand(); operand.Kind() == ast.IdentKind {
				note(operand.AsIdent(), e.AsSelect().FieldName())
			}
		case ast.CallKind:
			call := e.AsCall()
			if problem == nil && slices.Contains(withheld(), call.FunctionName()) {
				problem = fmt.Errorf("the function %s is not allowed here", call.FunctionName())
			}
			if problem == nil && call.FunctionName() == overloads.Matches {
				problem = knownPattern(call.Args())
			}
			if args := call.Args(); call.FunctionName() == operators.Index && args[0].Kind() == ast.IdentKind && args[1].Kind() == ast.LiteralKind {
				note(args[0].AsIdent(), fmt.Sprint(args[1].AsLiteral().Value()))
			}
		}
	}))
	return problem
}

// knownPattern refuses a regular expression that is not written out, or is too large.
// CEL's own limit compiles patterns that are not simplified, and so panics on x{2}.
func knownPattern(args []ast.Expr) error {
	pattern := args[len(args)-1]
	text, ok := "", pattern.Kind() == ast.LiteralKind
	if ok {
		text, ok = pattern.AsLiteral().Value().(string)
	}
	if !ok {
		return errors.New("the pattern of matches has to be written out as a text; hint: compare with ==, startsWith or endsWith")
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return fmt.Errorf("the pattern of matches: %w", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return fmt.Errorf("the pattern of matches: %w", err)
	}
	if len(program.Inst) > maxRegexSteps {
		return fmt.Errorf("the pattern of matches compiles to %d steps, more than the limit of %d", len(program.Inst), maxRegexSteps)
	}
	return nil
}

// sizes estimates nothing: the predicate may be empty, and only what every
// evaluation must cost is a reason to refuse an expression.
type sizes struct{}

func (sizes) EstimateSize(checker.AstNode) *checker.SizeEstimate { return nil }
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// costs charges every call for what it looks at. CEL's own table goes by overload,
// and most calls on a predicate are resolved only when they are made.
type costs struct{}

func (costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	cost := uint64(1)
	switch function {
	case operators.Equals, operators.NotEquals:
		cost += min(weight(args[0]), weight(args[1]))
	case operators.In:
		cost += weight(args[1])
	case "matches":
		cost += (1 + length(args[0])/10) * (1 + length(args[1])/4)
	default:
		if function == operators.Add {
			cost += min(size(args[0]), size(args[1]))
		}
		for _, arg := range args {
			cost += length(arg) / 10
		}
		cost += length(result) / 10
	}
	return &cost
}

// size is how many elements a list has. A sum of lists copies none of them, but what
// looks at the sum looks at all.
func size(v ref.Val) uint64 {
	if list, ok := v.(traits.Lister); ok {
		if n, ok := list.Size().(types.Int); ok {
			return uint64(n)
		}
	}
	return 0
}

// setCosts charges the functions on sets for every pair of elements.
func setCosts() []interpreter.CostTrackerOption {
	pairs := func(args []ref.Val, _ ref.Val) *uint64 {
		cost := 1 + weight(args[0])*weight(args[1])
		return &cost
	}
	var options []interpreter.CostTrackerOption
	for _, overload := range []string{"list_sets_contains_list", "list_sets_equivalent_list", "list_sets_intersects_list"} {
		options = append(options, interpreter.OverloadCostTracker(overload, pairs))
	}
	return options
}

// length is that of a text in bytes or characters; other values have none.
func length(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v))
	case types.Bytes:
		return uint64(len(v))
	}
	return 0
}

// weight counts the values inside v, and ten bytes of text as one more; it stops
// counting at MaxCost.
func weight(v ref.Val) uint64 {
	left := int64(MaxCost)
	weigh(v, &left)
	return uint64(MaxCost - max(left, 0))
}

func weigh(v ref.Val, left *int64) {
	*left -= 1 + int64(length(v)/10)
	iterable, ok := v.(traits.Iterable)
	if !ok || *left <= 0 {
		return
	}
	mapping, isMap := v.(traits.Mapper)
	for it := iterable.Iterator(); *left > 0 && it.HasNext() == types.True; {
		element := it.Next()
		weigh(element, left)
		if isMap {
			weigh(mapping.Get(element), left)
		}
	}
}

// intake counts what the input holds.
type intake struct{ nodes, bytes int }

func (b *intake) take(value any, depth int) (any, error) {
	b.nodes++
	switch {
	case depth > maxInputDepth:
		return nil, fmt.Errorf("%w: it is more than %d levels deep", ErrLimit, maxInputDepth)
	case b.nodes > maxInputNodes:
		return nil, fmt.Errorf("%w: it holds more than %d values", ErrLimit, maxInputNodes)
	}
	switch v := value.(type) {
	case nil, bool, int64:
		return v, nil
	case int:
		return int64(v), nil
	case string:
		return v, b.read(v)
	case float64:
		return number(v), nil
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return whole, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("%.40q is no number", string(v))
		}
		return number(f), nil
	case []any:
		return b.takeList(v, depth)
	case map[string]any:
		return b.takeMap(v, depth)
	}
	return nil, fmt.Errorf("a %T is no JSON value", value)
}

// read counts a text.
func (b *intake) read(text string) error {
	if b.bytes += len(text); b.bytes > maxInputBytes {
		return fmt.Errorf("%w: it holds more than %d bytes of text", ErrLimit, maxInputBytes)
	}
	return nil
}

func (b *intake) takeList(list []any, depth int) (any, error) {
	taken := make([]any, 0, len(list))
	for _, element := range list {
		v, err := b.take(element, depth+1)
		if err != nil {
			return nil, err
		}
		taken = append(taken, v)
	}
	return taken, nil
}

func (b *intake) takeMap(m map[string]any, depth int) (any, error) {
	taken := make(map[string]any, len(m))
	for key, element := range m {
		if err := b.read(key); err != nil {
			return nil, err
		}
		v, err := b.take(element, depth+1)
		if err != nil {
			return nil, err
		}
		taken[key] = v
	}
	return taken, nil
}

// number is an integer where the JSON number was one.
func number(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) <= wholeNumbers {
		return int64(f)
	}
	return f
}

package tailor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNested is how deep a default may hold variables with defaults.
const maxNested = 8

var (
	errExpression = errors.New("not an expression that is understood")
	errTooMuch    = fmt.Errorf("functions look at more than %d bytes of variables", maxWork)
	errTooLong    = fmt.Errorf("substitution makes more than %d bytes of one object", maxObject)
)

// expansion is what became of a text.
type expansion struct {
	text string
	// whole says that the text was one reference and nothing else.
	whole bool
	// asText says that it is text whatever it looks like: ${name:string}.
	asText bool
	found  bool // there was a reference, or an escaped one
}

// expander replaces ${...} in texts. What has no value is collected.
type expander struct {
	variables map[string]string
	unknown   map[string]bool
	left      int  // bytes that may still be made
	work      *int // bytes that functions may still look at
}

// expand replaces the references in text: ${name}, ${name:-default} and the few
// functions that docs/delivery.md lists. $${ stands for ${.
func (e *expander) expand(text string) (expansion, error) {
	if !strings.Contains(text, "${") {
		return expansion{text: text}, nil
	}
	p := &reference{expander: e, rest: text}
	out, err := p.text("", 0)
	if err != nil {
		return expansion{}, err
	}
	whole := strings.HasPrefix(text, "${") && p.references == 1 && p.outside == 0
	return expansion{text: out, whole: whole, asText: p.asText, found: true}, nil
}

// reference reads one text.
type reference struct {
	*expander
	rest       string
	references int // at the top
	outside    int // bytes beside them
	asText     bool
}

// text reads until one of the bytes in end, or to the end of the input.
func (p *reference) text(end string, depth int) (string, error) {
	var out strings.Builder
	for p.rest != "" {
		switch {
		case strings.HasPrefix(p.rest, "$${"):
			out.WriteString("${")
			p.rest = p.rest[3:]
			p.outside++
		case strings.HasPrefix(p.rest, "${"):
			value, err := p.one(depth)
			if err != nil {
				return "", err
			}
			out.WriteString(value)
			if depth == 0 {
				p.references++
			}
		case strings.IndexByte(end, p.rest[0]) >= 0:
			return out.String(), nil
		case p.rest[0] == '\\' && len(p.rest) > 1 && strings.IndexByte(end, p.rest[1]) >= 0:
			out.WriteByte(p.rest[1])
			p.rest = p.rest[2:]
		default:
			out.WriteByte(p.rest[0])
			p.rest = p.rest[1:]
			if depth == 0 {
				p.outside++
			}
		}
		if out.Len() > p.left {
			return "", errTooLong
		}
	}
	if end != "" {
		return "", fmt.Errorf("%w: it is not closed", errExpression)
	}
	return out.String(), nil
}

// one reads a reference, whose "${" comes next.
func (p *reference) one(depth int) (string, error) {
	if depth >= maxNested {
		return "", fmt.Errorf("%w: nested more than %d levels deep", errExpression, maxNested)
	}
	p.rest = p.rest[2:]
	size := 0
	for size < len(p.rest) && isName(p.rest[size], size) {
		size++
	}
	name := p.rest[:size]
	if name == "" {
		return "", fmt.Errorf("%w: ${ is followed by no name", errExpression)
	}
	p.rest = p.rest[size:]
	value, known := p.variables[name]
	operator := p.operator()
	operands, err := p.operands(operator, depth+1)
	if err != nil {
		return "", fmt.Errorf("%w (variable %s)", err, name)
	}
	if !strings.HasPrefix(p.rest, "}") {
		return "", fmt.Errorf("%w: ${%s%s", errExpression, name, clip(p.rest))
	}
	p.rest = p.rest[1:]
	switch operator {
	case ":-", ":=":
		if value == "" {
			return operands[0], nil
		}
		return value, nil
	case "-", "=":
		if !known {
			return operands[0], nil
		}
		return value, nil
	}
	if !known {
		p.unknown[name] = true
		return "", nil
	}
	return p.apply(operator, value, operands)
}

func isName(c byte, at int) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || at > 0 && c >= '0' && c <= '9'
}

// operator takes the longest one that comes next; empty where the name ends.
func (p *reference) operator() string {
	for _, o := range []string{":-", ":=", ":string", "//", "/", "^^", "^", ",,", ",", "##", "#", "%%", "%", ":", "-", "="} {
		if strings.HasPrefix(p.rest, o) {
			p.rest = p.rest[len(o):]
			return o
		}
	}
	return ""
}

func (p *reference) operands(operator string, depth int) ([]string, error) {
	ends := []string{}
	switch operator {
	case ":-", ":=", "-", "=", "#", "##", "%", "%%":
		ends = []string{"}"}
	case "/", "//":
		ends = []string{"/", "}"}
	case ":":
		ends = []string{":}"}
	}
	var found []string
	for i, end := range ends {
		if i > 0 {
			p.rest = strings.TrimPrefix(p.rest, "/")
		}
		operand, err := p.text(end, depth)
		if err != nil {
			return nil, err
		}
		found = append(found, operand)
	}
	if operator == ":" && strings.HasPrefix(p.rest, ":") {
		p.rest = p.rest[1:]
		length, err := p.text("}", depth)
		if err != nil {
			return nil, err
		}
		found = append(found, length)
	}
	return found, nil
}

// apply is what a function makes of a value. Patterns are plain text.
func (p *reference) apply(operator, value string, operands []string) (string, error) {
	if *p.work -= len(value); *p.work < 0 {
		return "", errTooMuch
	}
	switch operator {
	case "":
		return value, nil
	case ":string":
		p.asText = true
		return value, nil
	case ":":
		return substring(value, operands)
	case "/":
		return strings.Replace(value, operands[0], operands[1], 1), nil
	case "//":
		return p.replaceAll(value, operands[0], operands[1])
	case "^^":
		return strings.ToUpper(value), nil
	case ",,":
		return strings.ToLower(value), nil
	case "^":
		return first(value, unicode.ToUpper), nil
	case ",":
		return first(value, unicode.ToLower), nil
	case "#", "##":
		return strings.TrimPrefix(value, operands[0]), nil
	}
	return strings.TrimSuffix(value, operands[0]), nil
}

func (p *reference) replaceAll(value, old, with string) (string, error) {
	if grown := strings.Count(value, old) * max(0, len(with)-len(old)); len(value)+grown > p.left {
		return "", errTooLong
	}
	return strings.ReplaceAll(value, old, with), nil
}

func first(value string, change func(rune) rune) string {
	r, size := utf8.DecodeRuneInString(value)
	if size == 0 {
		return value
	}
	return string(change(r)) + value[size:]
}

// substring counts characters from zero; what lies outside is empty.
func substring(value string, operands []string) (string, error) {
	runes := []rune(value)
	bounds := []int{0, len(runes)}
	for i, operand := range operands {
		n, err := strconv.ParseUint(strings.TrimSpace(operand), 10, 31)
		if err != nil {
			return "", fmt.Errorf("%w: a position and a length are numbers, as in ${name:0:7}", errExpression)
		}
		bounds[i] = int(n)
	}
	from := min(bounds[0], len(runes))
	if len(operands) == 2 {
		return string(runes[from:min(from+bounds[1], len(runes))]), nil
	}
	return string(runes[from:]), nil
}

// clip is the beginning of a release's text, for messages.
func clip(text string) string {
	const most = 24
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

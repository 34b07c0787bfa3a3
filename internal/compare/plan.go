package compare

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Plan is how a release differs from what a Delivery has in its cluster.
type Plan struct {
	// Delivery is NAMESPACE/NAME.
	Delivery string `json:"delivery"`
	Release  Side   `json:"release"`
	// SignedBy names the authorities whose signatures counted.
	SignedBy []string `json:"signedBy"`
	// Different says that a pass would write something, or that drift is left.
	Different bool `json:"different"`
	// Objects are in the order of a pass; those that stay as they are, are left out.
	Objects []Planned `json:"objects"`
	// Unchecked are objects that could not be tried: something that they need comes
	// with the same release.
	Unchecked []string `json:"unchecked,omitempty"`
	// Irreversible says what going back would not undo.
	Irreversible []string `json:"irreversible,omitempty"`
	// Confirm says what would wait for sealift confirm.
	Confirm string `json:"confirm,omitempty"`
	// Notes are what a person wants to know besides.
	Notes []string `json:"notes,omitempty"`
}

// Planned is what becomes of one object.
type Planned struct {
	// Action is Create, Update, Adopt, Recreate, Prune, Keep, Skip, Drifted, and of
	// hooks Run, and Standby for those that run only when the release fails.
	Action    string `json:"action"`
	Reason    string `json:"reason,omitempty"`
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Refused is why the API server refuses it.
	Refused string  `json:"refused,omitempty"`
	Fields  []Field `json:"fields,omitempty"` // where there is an object before and after
}

// Fields compares two states of one object. Values of Secrets are masked, of what else
// is private, too, and those that mask hides.
func Fields(before, after *unstructured.Unstructured, private bool, mask Mask) []Field {
	if before == nil || after == nil {
		return nil
	}
	return mask.fields(fieldsOf(before, after, private))
}

// Finish fills in what follows from the rest.
func (p *Plan) Finish() {
	p.Different = slices.ContainsFunc(p.Objects, func(o Planned) bool { return o.sign() != "=" })
}

func (o Planned) sign() string {
	switch o.Action {
	case "Create":
		return "+"
	case "Prune":
		return "-"
	case "Keep", "Skip", "Standby":
		return "="
	}
	return "~"
}

// String is KIND NAMESPACE/NAME: action, and why.
func (o Planned) String() string {
	said := Object{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}.String() + ": " + strings.ToLower(o.Action)
	if o.Reason != "" {
		said += ", " + o.Reason
	}
	if o.Refused != "" {
		said += "; refused: " + o.Refused
	}
	return said
}

func (p Plan) summary() string {
	counts := map[string]int{}
	var order []string
	for _, o := range p.Objects {
		if counts[o.Action]++; counts[o.Action] == 1 {
			order = append(order, o.Action)
		}
	}
	if len(order) == 0 {
		return "no difference"
	}
	var parts []string
	for _, action := range order {
		parts = append(parts, fmt.Sprintf("%d %s", counts[action], strings.ToLower(action)))
	}
	return strings.Join(parts, ", ")
}

// remarks are the lines below the objects.
func (p Plan) remarks() []string {
	var lines []string
	for _, list := range []struct {
		title string
		lines []string
	}{{"irreversible", p.Irreversible}, {"not tried", p.Unchecked}, {"note", p.Notes}} {
		for _, s := range list.lines {
			lines = append(lines, list.title+": "+line(s))
		}
	}
	if p.Confirm != "" {
		lines = append(lines, "waits for sealift confirm: "+line(p.Confirm))
	}
	return lines
}

// Text is the plan for a terminal. What release and cluster say is escaped.
func (p Plan) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "- cluster, delivery %s\n+ %s%s\n", line(p.Delivery), line(p.Release.Reference), p.Release.detail())
	fmt.Fprintf(&b, "signed by %s\n\n%s\n", line(strings.Join(p.SignedBy, " and ")), p.summary())
	for _, o := range p.Objects {
		fmt.Fprintf(&b, "  %s %s\n", o.sign(), line(o.String()))
		for _, f := range o.Fields {
			before, after := f.shown()
			fmt.Fprintf(&b, "      %s: %s → %s\n", line(f.Path), before, after)
		}
	}
	for _, s := range p.remarks() {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// Markdown is the plan for a pull request, of at most limit bytes: what does not fit
// is counted. What release and cluster say stands in code, where it can be no markup.
func (p Plan) Markdown(limit int) string {
	m := &markdown{left: limit - tail}
	m.write("### Delivery " + code(p.Delivery) + "\n\n")
	m.write(fmt.Sprintf("%s%s, signed by %s: %s\n", code(p.Release.Reference), codeOf(p.Release.Revision), code(strings.Join(p.SignedBy, " and ")), p.summary()))
	for _, s := range p.remarks() {
		m.write("\n- " + code(s) + "\n")
	}
	m.objects(p.Objects)
	if m.cut > 0 {
		m.out.WriteString(fmt.Sprintf("\n**%d more differences were left out**: a comment has %d characters at most. `sealift diff` prints them all.\n", m.cut, limit))
	}
	return m.out.String()
}

func (m *markdown) objects(objects []Planned) {
	if len(objects) == 0 {
		return
	}
	fence := "```"
	for _, o := range objects {
		for _, s := range o.lines() {
			for strings.Contains(s, fence) {
				fence += "`"
			}
		}
	}
	if !m.write("\n" + fence + "diff\n") {
		m.cut += len(objects)
		return
	}
	m.left -= len(fence) + 1
	for _, o := range objects {
		m.write(strings.Join(o.lines(), "\n") + "\n")
	}
	m.out.WriteString(fence + "\n")
}

// lines are those of a diff, in which a sign at the beginning gives the colour.
func (o Planned) lines() []string {
	sign := o.sign()
	if sign == "~" || sign == "=" {
		sign = "#"
	}
	lines := []string{sign + " " + line(o.String())}
	for _, f := range o.Fields {
		before, after := f.shown()
		lines = append(lines, "  "+line(f.Path), "-   "+before, "+   "+after)
	}
	return lines
}

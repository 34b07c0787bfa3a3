package render

import (
	"errors"
	"testing"
	"time"
)

// TestRunaway: what takes too long or too much is left behind. It goes on in the
// background for a few seconds.
func TestRunaway(t *testing.T) {
	for name, template := range map[string]string{
		"time":   `{{ range 30000000 }}{{ end }}`,
		"memory": `{{ range 10000000 }}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{ end }}`,
	} {
		t.Run(name, func(t *testing.T) {
			files := newMemory(tree(shopChart))
			files["charts/shop/templates/x.yaml"] = []byte(template)
			p := patience{time: 200 * time.Millisecond, memory: 64 << 20}
			if name == "memory" {
				p.time = time.Minute
			}
			if _, err := shopOf(func(c *Chart) { c.Files = files }).render(t.Context(), p); !errors.Is(err, ErrRunaway) {
				t.Error(err)
			}
		})
	}
}

package render

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain puts the machine into a zone of its own, for TestFunctions. A test could not:
// templates that other tests left behind still ask for the zone.
func TestMain(m *testing.M) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	time.Local = berlin
	os.Exit(m.Run())
}

// TestFunctions: those that take the place of Helm's do as Helm's, and know neither the
// clock nor the zone of the machine.
func TestFunctions(t *testing.T) {
	for expression, want := range map[string]string{
		`(toDate "2006-01-02 MST" "2020-01-01 CET").Unix`:     "1577836800",
		`(mustToDate "2006-01-02 MST" "2020-01-01 CET").Unix`: "1577836800",
		`toDate "2006-01-02" "2020-01-01" | unixEpoch`:        "1577836800",
		`dateInZone "15:04" 0 "Europe/Berlin"`:                "01:00",
		`dateInZone "15:04" 0 "Local"`:                        "00:00",
		`htmlDateInZone 0 "Europe/Berlin"`:                    "1970-01-01",
		`join "-" (list 1 nil "b" true 1.5 (list 2))`:         "1-b-true-1.5-[2]",
		`join "-" (list)`:                                     "",
		`join "-" "a"`:                                        "a",
		`join "-" nil`:                                        "",
		`join "-" (splitList "," "a,b")`:                      "a-b",
		`replace "a" "bb" "banana"`:                           "bbbnbbnbb",
		`"banana" | replace "an" ""`:                          "ba",
		`durationRound "2400h10m5s"`:                          "3mo",
		`durationRound "-90s"`:                                "1m",
		`durationRound "1s"`:                                  "0s",
		`durationRound 7`:                                     "0s",
	} {
		files := newMemory(tree(shopChart))
		files["charts/shop/templates/shop.yaml"] = []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: prod-shop}\ndata: {x: {{ " + expression + " | quote }}}\n")
		objs, err := shopOf(func(c *Chart) { c.Files = files }).Render(t.Context())
		if err != nil || data(objs, "prod-shop")["x"] != want {
			t.Errorf("%s: %v, %v, want %s", expression, data(objs, "prod-shop"), err, want)
		}
	}
}

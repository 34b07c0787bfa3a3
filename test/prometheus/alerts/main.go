// Alerts says what Prometheus' rule engine makes of alert rules and of scrapes, both given
// as JSON on its standard input. Time is what the scrapes say it is.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// step is how often rules are evaluated.
const step = 30 * time.Second

// question is what is read.
type question struct {
	Rules   string   // a rule file: groups
	Scrapes []scrape // in the order of their time
	Until   int64    // the end, in seconds
}

// answer is what is written.
type answer struct {
	Invalid []string `json:"invalid"` // what is wrong with the rules, and what metrics are not named well
	Unknown []string `json:"unknown"` // metrics of rules that no scrape has
	Firing  []alert  `json:"firing"`
	Names   []string `json:"names"` // of all rules
}

// alert is one that fired, and when for the first time.
type alert struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	At     int64             `json:"at"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var q question
	if err := json.NewDecoder(in).Decode(&q); err != nil {
		return err
	}
	groups, problems := rulefmt.Parse([]byte(q.Rules), false, model.LegacyValidation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	a := answer{Firing: []alert{}}
	for _, problem := range problems {
		a.Invalid = append(a.Invalid, problem.Error())
	}
	if len(problems) > 0 {
		return json.NewEncoder(out).Encode(a)
	}
	series, err := read(q.Scrapes)
	if err != nil {
		return err
	}
	if a.Invalid, err = lint(q.Scrapes); err != nil {
		return err
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 10_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute})
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			a.Names = append(a.Names, rule.Alert)
			unknown, err := series.unknown(rule.Expr)
			if err != nil {
				return err
			}
			a.Unknown = append(a.Unknown, unknown...)
			firing, err := fires(engine, series, rule, q.Until)
			if err != nil {
				return fmt.Errorf("evaluating %s: %w", rule.Alert, err)
			}
			a.Firing = append(a.Firing, firing...)
		}
	}
	return json.NewEncoder(out).Encode(a)
}

// fires lists the alerts of a rule: those whose expression held for as long as the rule says.
func fires(engine *promql.Engine, from storage, rule rulefmt.Rule, until int64) ([]alert, error) {
	query, err := engine.NewRangeQuery(context.Background(), from, nil, rule.Expr, time.Unix(0, 0), time.Unix(until, 0), step)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	matrix, err := query.Exec(context.Background()).Matrix()
	if err != nil {
		return nil, err
	}
	var firing []alert
	for _, s := range matrix {
		if at, ok := held(s.Floats, time.Duration(rule.For)); ok {
			firing = append(firing, alert{rule.Alert, s.Metric.Map(), at})
		}
	}
	return firing, nil
}

// held is the first second at which the points were there without a gap for that long.
func held(points []promql.FPoint, long time.Duration) (int64, bool) {
	var begin int64
	for i, p := range points {
		if i == 0 || p.T-points[i-1].T > step.Milliseconds() {
			begin = p.T
		}
		if p.T-begin >= long.Milliseconds() {
			return p.T / 1000, true
		}
	}
	return 0, false
}

// lint says which metrics of ours Prometheus' own rules find badly named.
func lint(scrapes []scrape) ([]string, error) {
	all := map[string]bool{}
	for _, s := range scrapes {
		problems, err := promlint.New(strings.NewReader(s.Text)).Lint()
		if err != nil {
			return nil, err
		}
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, "sealift_") {
				all[p.Metric+": "+p.Text] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// unknown lists the metrics of an expression that are in no scrape.
func (s storage) unknown(expression string) ([]string, error) {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, matchers := range parser.ExtractSelectors(parsed) {
		for _, m := range matchers {
			if m.Name == labels.MetricName && !slices.ContainsFunc(s.series, func(series promql.Series) bool { return m.Matches(series.Metric.Get(m.Name)) }) {
				missing = append(missing, m.Value)
			}
		}
	}
	return missing, nil
}

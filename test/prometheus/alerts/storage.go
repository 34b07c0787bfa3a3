package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	prometheus "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// scrape is what /metrics of an instance said.
type scrape struct {
	At       int64 // in seconds
	Instance string
	Text     string
}

// storage holds series in memory.
type storage struct{ series []promql.Series }

// read makes series of scrapes. A series that a later scrape of its instance lacks ends there, as
// Prometheus has it.
func read(scrapes []scrape) (storage, error) {
	var s storage
	index := map[string]int{}
	for _, scraped := range scrapes {
		decoder := expfmt.NewTextParser(model.LegacyValidation)
		families, err := decoder.TextToMetricFamilies(strings.NewReader(scraped.Text))
		if err != nil {
			return s, fmt.Errorf("reading the scrape at %d: %w", scraped.At, err)
		}
		for _, family := range families {
			samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnix(scraped.At)}, family)
			if err != nil {
				return s, fmt.Errorf("reading the scrape at %d: %w", scraped.At, err)
			}
			for _, sample := range samples {
				s.add(index, sample, scraped)
			}
		}
	}
	return s, nil
}

func (s *storage) add(index map[string]int, sample *model.Sample, from scrape) {
	builder := labels.NewBuilder(labels.EmptyLabels())
	for name, value := range sample.Metric {
		builder.Set(string(name), string(value))
	}
	set := builder.Set("instance", from.Instance).Set("job", "sealift").Labels()
	at, found := index[set.String()]
	if !found {
		at = len(s.series)
		index[set.String()], s.series = at, append(s.series, promql.Series{Metric: set})
	}
	s.series[at].Floats = append(s.series[at].Floats, promql.FPoint{T: from.At * 1000, F: float64(sample.Value)})
}

func (s storage) Querier(mint, maxt int64) (prometheus.Querier, error) {
	return querier{s, mint, maxt}, nil
}

// querier reads a part of the storage.
type querier struct {
	storage
	mint, maxt int64
}

func (q querier) Select(_ context.Context, _ bool, _ *prometheus.SelectHints, matchers ...*labels.Matcher) prometheus.SeriesSet {
	var found []promql.Series
	for _, series := range q.series {
		if matches(series.Metric, matchers) {
			found = append(found, promql.Series{Metric: series.Metric, Floats: q.within(series.Floats)})
		}
	}
	return &set{series: found, at: -1}
}

func (q querier) within(points []promql.FPoint) []promql.FPoint {
	var some []promql.FPoint
	for _, p := range points {
		if p.T >= q.mint && p.T <= q.maxt {
			some = append(some, p)
		}
	}
	return some
}

func matches(set labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(set.Get(m.Name)) {
			return false
		}
	}
	return true
}

func (querier) LabelValues(context.Context, string, *prometheus.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (querier) LabelNames(context.Context, *prometheus.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (querier) Close() error { return nil }

// set is what a Select found.
type set struct {
	series []promql.Series
	at     int
}

func (s *set) Next() bool                      { s.at++; return s.at < len(s.series) }
func (s *set) At() prometheus.Series           { return promql.NewStorageSeries(s.series[s.at]) }
func (*set) Err() error                        { return nil }
func (*set) Warnings() annotations.Annotations { return nil }

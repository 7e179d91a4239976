package main

import "testing"

func TestParseLinesTaken(t *testing.T) {
	for _, test := range []struct {
		metrics string
		want    int
	}{
		{"", 0},
		{`# HELP otelcol_receiver_accepted_log_records Number of log records successfully pushed into the pipeline.
# TYPE otelcol_receiver_accepted_log_records counter
otelcol_receiver_accepted_log_records{receiver="container_log",transport=""} 1.25e+06
otelcol_processor_memory_limiter_accepted_log_records{processor="memory_limiter"} 29
otelcol_receiver_refused_log_records{receiver="container_log",transport=""} 3
`, 1_250_000},
		{"otelcol_receiver_accepted_log_records{receiver=\"one\"} 7\notelcol_receiver_accepted_log_records{receiver=\"other\"} 5\n", 12},
	} {
		if got, err := parseLinesTaken(test.metrics); err != nil || got != test.want {
			t.Errorf("got %d, error %v, want %d of:\n%s", got, err, test.want, test.metrics)
		}
	}
	if _, err := parseLinesTaken("otelcol_receiver_accepted_log_records many\n"); err == nil {
		t.Error("taken: a number that is none")
	}
}

func TestMiddle(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{8, 1, 2, 4}, 3},
	} {
		if got := middle(test.values); got != test.want {
			t.Errorf("%v: got %v, want %v", test.values, got, test.want)
		}
	}
}

// What continuous profilers do with a profile first, by the package that they do it with.
//
//	merge FILE...    prints, as JSON, what each file and what their merge holds
//
// Built by continuous.py, which gives it the copy of github.com/google/pprof/profile that Go itself is built with.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/pprof/profile"
)

type summary struct {
	Types   []string
	Default string
	Totals  []int64
	Samples int
	Lines   map[string]int64 // by function:line of the innermost line of the program's own, counts
	Labels  map[string]int64 // by key=value
}

func check(err error, what string) {
	if err != nil {
		fmt.Fprintln(os.Stderr, what+":", err)
		os.Exit(1)
	}
}

func summarize(p *profile.Profile) summary {
	s := summary{Default: p.DefaultSampleType, Samples: len(p.Sample), Lines: map[string]int64{}, Labels: map[string]int64{}}
	for _, t := range p.SampleType {
		s.Types = append(s.Types, t.Type+"/"+t.Unit)
	}
	s.Totals = make([]int64, len(p.SampleType))
	for _, of := range p.Sample {
		for i, v := range of.Value {
			s.Totals[i] += v
		}
		for key, values := range of.Label {
			for _, v := range values {
				s.Labels[key+"="+v] += of.Value[0]
			}
		}
		root := of.Location[len(of.Location)-1].Line
		last := root[len(root)-1]
		s.Lines[fmt.Sprint(last.Function.Name, ":", last.Line)] += of.Value[0]
	}
	return s
}

func main() {
	var all []*profile.Profile
	var out []summary
	for _, name := range os.Args[1:] {
		file, err := os.Open(name)
		check(err, name)
		p, err := profile.Parse(file)
		check(err, name)
		check(p.CheckValid(), name)
		all = append(all, p)
		out = append(out, summarize(p))
	}
	merged, err := profile.Merge(all)
	check(err, "merge")
	check(merged.CheckValid(), "the merge")
	out = append(out, summarize(merged))
	var buffer bytes.Buffer
	check(merged.Compact().Write(&buffer), "write")
	back, err := profile.Parse(&buffer)
	check(err, "reading back")
	check(back.CheckValid(), "what was read back")
	out = append(out, summarize(back))
	check(json.NewEncoder(os.Stdout).Encode(out), "JSON")
}

// Go's goroutine-leak profile on the shapes of bench/detect.cpp. Build with Go 1.27, or with 1.26 and GOEXPERIMENT=goroutineleakprofile.
// pause_ms is the sum of the stop-the-world pauses of a request, from the runtime's own metrics.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"sort"
	"strconv"
	"sync"
	"time"
)

type block struct {
	next  [4]*block
	value int64
}

var root *block
var openChannel = make(chan int)

func build(mb int, random bool) {
	n := mb << 20 / 48
	all := make([]*block, n)
	for i := range all {
		all[i] = new(block)
	}
	x := uint64(88172645463325252)
	for i := range all {
		if i+1 < n {
			all[i].next[0] = all[i+1]
		}
		for k := 1; k < 4 && random; k++ {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			all[i].next[k] = all[x%uint64(n)]
		}
	}
	root = all[0]
}

//go:noinline
func leak(n int) {
	for i := 0; i < n; i++ {
		ch := make(chan int)
		go func() { <-ch }()
	}
}

//go:noinline
func daisyChain(n int) {
	in := openChannel
	for i := 0; i < n; i++ {
		from, to := in, make(chan int)
		go func() { to <- <-from }()
		in = to
	}
}

//go:noinline
func waitForOneMutex(n int) {
	m := new(sync.Mutex)
	locked := make(chan bool)
	go func() {
		m.Lock()
		close(locked)
		<-make(chan int)
	}()
	<-locked
	for i := 0; i < n; i++ {
		go func() { m.Lock() }()
	}
}

func pauseSum() float64 {
	s := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(s)
	sum := 0.0
	for _, m := range s {
		h := m.Value.Float64Histogram()
		for i, c := range h.Counts {
			lo, hi := h.Buckets[i], h.Buckets[i+1]
			if c > 0 && lo > -1e300 && hi < 1e300 {
				sum += float64(c) * (lo + hi) / 2
			}
		}
	}
	return sum * 1e3
}

func median(v []float64) float64 { sort.Float64s(v); return v[len(v)/2] }

func main() {
	shape := os.Args[1]
	n, _ := strconv.Atoi(os.Args[2])
	switch shape {
	case "chain", "graph":
		build(n, shape == "graph")
		leak(10)
	case "daisy":
		daisyChain(n)
	case "waiters":
		waitForOneMutex(n)
	default:
		leak(n)
		for i := 0; i < n && shape == "mixed"; i++ {
			go func() { <-openChannel }()
		}
	}
	for i := 0; i < 100; i++ {
		runtime.Gosched()
	}
	time.Sleep(300 * time.Millisecond)
	profile := pprof.Lookup("goroutineleak")
	if profile == nil {
		fmt.Fprintln(os.Stderr, "no goroutineleak profile: build with Go 1.27, or with 1.26 and GOEXPERIMENT=goroutineleakprofile")
		os.Exit(2)
	}
	rounds := 5
	if s := os.Getenv("REPEAT"); s != "" {
		rounds, _ = strconv.Atoi(s)
	}
	var pauses, totals []float64
	for i := 0; i <= rounds; i++ {
		before := pauseSum()
		t := time.Now()
		profile.WriteTo(io.Discard, 0)
		total := time.Since(t).Seconds() * 1e3
		if i == 0 {
			fmt.Printf("%s,%d,first_ms,%.2f\n", shape, n, total)
			continue
		}
		totals = append(totals, total)
		pauses = append(pauses, pauseSum()-before)
	}
	fmt.Printf("%s,%d,pause_ms,%.2f\n%s,%d,total_ms,%.2f\n", shape, n, median(pauses), shape, n, median(totals))
	runtime.KeepAlive(root)
	runtime.KeepAlive(openChannel)
}

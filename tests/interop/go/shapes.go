// The shapes of some of our cases in Go, for `./dev case NAME --go`: what does Go's own goroutineleak profile say of the same program?
//
//	shapes NAME    runs it, prints the profile (debug=1) and, as its last line, `found N`
//	shapes NAME FILE    also writes it (debug=0) to the file
//	shapes         prints `NAME N` a line: how many of its goroutines Go reports (tests/interop/go_verdicts.py runs them all)
//
// Build with Go 1.27, or with 1.26 and GOEXPERIMENT=goroutineleakprofile.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

type shape struct {
	name  string
	found int // by Go 1.26
	run   func()
}

var (
	events      chan int
	receiveOnly <-chan int
	sendOnly    chan<- int
	left, right sync.Mutex
	rw          sync.RWMutex
	kept        context.Context
	owned       sync.Mutex
)

//go:noinline
func firstOf(n int) int {
	ch := make(chan int)
	for i := range n {
		go func() { ch <- i }()
	}
	return <-ch
}

// Until what was started has come to rest.
func settle() {
	for range 20 {
		runtime.Gosched()
	}
	time.Sleep(20 * time.Millisecond)
}

var shapes = []shape{
	{"chan_recv", 1, func() {
		ch := make(chan int)
		go func() { <-ch }()
	}},
	{"chan_send", 1, func() {
		ch := make(chan int)
		go func() { ch <- 1 }()
	}},
	{"nil_recv", 1, func() {
		var ch chan int
		go func() { <-ch }()
	}},
	{"nil_send", 1, func() {
		var ch chan int
		go func() { ch <- 1 }()
	}},
	{"select", 1, func() {
		a, b := make(chan int), make(chan int)
		go func() {
			select {
			case <-a:
			case b <- 1:
			}
		}()
	}},
	{"select_no_cases", 1, func() { go func() { select {} }() }},
	{"early_return", 1, func() {
		result := make(chan int)
		go func() { result <- 42 }()
	}},
	{"timeout", 100, func() {
		outOfTime, gate := make(chan struct{}), make(chan struct{})
		close(outOfTime)
		for range 100 {
			result := make(chan int)
			go func() {
				<-gate
				result <- 1
			}()
			select {
			case <-result:
			case <-outOfTime:
			}
		}
		close(gate)
	}},
	{"n_cast", 1, func() { // not the four that send
		firstOf(5)
		go firstOf(0)
	}},
	{"wait_group", 1, func() {
		go func() {
			var group sync.WaitGroup
			group.Add(1)
			group.Wait()
		}()
	}},
	{"cond", 1, func() {
		go func() {
			var m sync.Mutex
			changed := sync.NewCond(&m)
			m.Lock()
			changed.Wait()
		}()
	}},
	{"mutex_heap", 1000, func() {
		for range 1000 {
			go func() {
				m := new(struct { // of several words: the smallest objects share a block, and a live one keeps its neighbour
					sync.Mutex
					value [4]int
				})
				m.Lock()
				m.Lock()
			}()
		}
	}},
	{"worker_pool_dropped", 4, func() {
		jobs := make(chan int)
		for range 4 {
			go func() {
				for range jobs {
				}
			}()
		}
		for range 20 {
			jobs <- 1
		}
	}},
	{"victim_chain", 3, func() {
		a, b, c := make(chan int), make(chan int), make(chan int)
		go func() { <-a }()
		go func() { <-b; a <- 1 }()
		go func() { <-c; b <- 1 }()
	}},
	{"channel_ring", 3, func() {
		a, b, c := make(chan int), make(chan int), make(chan int)
		go func() { <-a; b <- 1 }()
		go func() { <-b; c <- 1 }()
		go func() { <-c; a <- 1 }()
	}},
	// From here on the primitive is reachable, and only what its holders may do with it tells a leak.
	{"global_recv_only", 0, func() {
		receiveOnly = make(chan int)
		go func() { <-receiveOnly }()
	}},
	{"global_send_only", 0, func() {
		sendOnly = make(chan int)
		go func() { sendOnly <- 1 }()
	}},
	{"mutex_global_double", 0, func() {
		go func() {
			left.Lock()
			left.Lock()
		}()
	}},
	{"mutex_abba", 0, func() {
		both := make(chan struct{})
		go func() {
			left.Lock()
			both <- struct{}{}
			right.Lock()
		}()
		go func() {
			right.Lock()
			<-both
			left.Lock()
		}()
	}},
	{"mutex_owner_gone", 0, func() {
		ended := make(chan struct{})
		go func() {
			owned.Lock()
			close(ended)
		}()
		<-ended
		go func() { owned.Lock() }()
		go func() { owned.Lock() }()
	}},
	{"rwmutex_upgrade", 0, func() {
		both := make(chan struct{})
		go func() {
			rw.RLock()
			<-both
			rw.Lock()
		}()
		go func() {
			rw.RLock()
			both <- struct{}{}
			settle()
			rw.Lock()
		}()
		settle()
	}},
	{"context_done", 0, func() {
		ctx, cancel := context.WithCancel(context.Background())
		_ = cancel
		kept = ctx
		go func() { <-ctx.Done() }()
	}},
	{"ticker_dropped", 0, func() {
		every := time.NewTicker(time.Hour)
		go func() {
			for {
				<-every.C
			}
		}()
	}},
}

func main() {
	if len(os.Args) < 2 {
		for _, s := range shapes {
			fmt.Println(s.name, s.found)
		}
		return
	}
	for _, s := range shapes {
		if s.name != os.Args[1] {
			continue
		}
		s.run()
		settle()
		profile := pprof.Lookup("goroutineleak")
		if profile == nil {
			fmt.Println("this Go has no goroutineleak profile: build with 1.27, or with 1.26 and GOEXPERIMENT=goroutineleakprofile")
			os.Exit(1)
		}
		profile.WriteTo(os.Stdout, 1)
		if len(os.Args) > 2 {
			file, err := os.Create(os.Args[2])
			if err != nil {
				panic(err)
			}
			defer file.Close()
			profile.WriteTo(file, 0)
		}
		fmt.Println("found", profile.Count())
		return
	}
	fmt.Println("no shape", os.Args[1])
	os.Exit(2)
}

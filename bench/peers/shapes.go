// The shapes of shapes.hpp in Go. Usage: peer_shapes WORKERS SHAPE; without arguments the names.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func cpuMs() float64 {
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}

func residentBytes() float64 {
	b, _ := os.ReadFile("/proc/self/statm")
	n, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return float64(n * 4096)
}

func out(name string, v float64)     { fmt.Printf("%s %.3f\n", name, v) }
func per(t time.Time, n int) float64 { return float64(time.Since(t).Nanoseconds()) / float64(n) }
func check(shape string, got, want int) {
	if got != want {
		panic(fmt.Sprintf("%s: %d, not %d", shape, got, want))
	}
}

func spawn(n int) float64 {
	var all sync.WaitGroup
	all.Add(n)
	t := time.Now()
	for i := 0; i < n; i++ {
		go func() { all.Done() }()
	}
	all.Wait()
	return per(t, n)
}

func spawn100(n int) float64 {
	t := time.Now()
	for i := 0; i < n; i += 100 {
		var all sync.WaitGroup
		all.Add(100)
		for j := 0; j < 100; j++ {
			go func() { all.Done() }()
		}
		all.Wait()
	}
	return per(t, n)
}

func spawnLarge(n int) float64 {
	var sum atomic.Int64
	t := time.Now()
	for i := 0; i < n; i += 100 {
		var all sync.WaitGroup
		all.Add(100)
		for j := 0; j < 100; j++ {
			bytes := [100]byte{99: 1}
			go func() {
				sum.Add(int64(bytes[99]))
				all.Done()
			}()
		}
		all.Wait()
	}
	d := per(t, n)
	check("spawn_large", int(sum.Load()), n)
	return d
}

func spawnOne(n int) float64 {
	t := time.Now()
	for i := 0; i < n; i++ {
		var one sync.WaitGroup
		one.Add(1)
		go func() { one.Done() }()
		one.Wait()
	}
	return per(t, n)
}

func yields(tasks, n int) float64 {
	var all sync.WaitGroup
	all.Add(tasks)
	t := time.Now()
	for i := 0; i < tasks; i++ {
		go func() {
			for k := 0; k < n/tasks; k++ {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
	return per(t, n)
}

func pingPong(n int) float64 {
	a, b := make(chan int), make(chan int)
	var both sync.WaitGroup
	both.Add(2)
	t := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			b <- <-a
		}
		both.Done()
	}()
	go func() {
		for i := 0; i < n; i++ {
			a <- i
			<-b
		}
		both.Done()
	}()
	both.Wait()
	return per(t, n)
}

func buffered(n, chans, pairs, capacity int) float64 {
	all := make([]chan int, chans)
	for i := range all {
		all[i] = make(chan int, capacity)
	}
	each := n / chans / pairs
	var sent, received sync.WaitGroup
	sent.Add(chans * pairs)
	received.Add(chans * pairs)
	t := time.Now()
	for _, c := range all {
		for i := 0; i < pairs; i++ {
			go func() {
				for k := 0; k < each; k++ {
					c <- k
				}
				sent.Done()
			}()
			go func() {
				for <-c >= 0 {
				}
				received.Done()
			}()
		}
	}
	sent.Wait()
	for _, c := range all {
		for i := 0; i < pairs; i++ {
			c <- -1
		}
	}
	received.Wait()
	return per(t, n)
}

func fan(n int) float64 {
	in, to := make(chan int), make(chan int)
	var all sync.WaitGroup
	all.Add(10)
	t := time.Now()
	for i := 0; i < 8; i++ {
		go func() {
			for k := 0; k < n/8; k++ {
				to <- <-in
			}
			all.Done()
		}()
	}
	go func() {
		for k := 0; k < n/8*8; k++ {
			in <- 1
		}
		all.Done()
	}()
	go func() {
		sum := 0
		for k := 0; k < n/8*8; k++ {
			sum += <-to
		}
		check("fan", sum, n/8*8)
		all.Done()
	}()
	all.Wait()
	return per(t, n)
}

func pipeline(n, stages int) float64 {
	c := make([]chan int, stages+1)
	for i := range c {
		c[i] = make(chan int)
	}
	var all sync.WaitGroup
	all.Add(stages + 2)
	t := time.Now()
	for i := 0; i < stages; i++ {
		in, to := c[i], c[i+1]
		go func() {
			for k := 0; k < n; k++ {
				to <- <-in + 1
			}
			all.Done()
		}()
	}
	go func() {
		for k := 0; k < n; k++ {
			c[0] <- 0
		}
		all.Done()
	}()
	go func() {
		for k := 0; k < n; k++ {
			check("pipeline", <-c[stages], stages)
		}
		all.Done()
	}()
	all.Wait()
	return per(t, n*stages)
}

func senders(all *sync.WaitGroup, cases, n int) []chan int {
	c := make([]chan int, cases)
	all.Add(cases + 1)
	for i := range c {
		c[i] = make(chan int)
		go func() {
			for k := 0; k < n/cases; k++ {
				c[i] <- 1
			}
			all.Done()
		}()
	}
	return c
}

func select4(n int) float64 {
	var all sync.WaitGroup
	t := time.Now()
	c := senders(&all, 4, n)
	go func() {
		sum := 0
		for k := 0; k < n/4*4; k++ {
			select {
			case v := <-c[0]:
				sum += v
			case v := <-c[1]:
				sum += v
			case v := <-c[2]:
				sum += v
			case v := <-c[3]:
				sum += v
			}
		}
		check("select_4", sum, n/4*4)
		all.Done()
	}()
	all.Wait()
	return per(t, n)
}

func select64(n int) float64 {
	var all sync.WaitGroup
	t := time.Now()
	c := senders(&all, 64, n)
	go func() {
		sum := 0
		for k := 0; k < n/64*64; k++ {
			select {
			case v := <-c[0]:
				sum += v
			case v := <-c[1]:
				sum += v
			case v := <-c[2]:
				sum += v
			case v := <-c[3]:
				sum += v
			case v := <-c[4]:
				sum += v
			case v := <-c[5]:
				sum += v
			case v := <-c[6]:
				sum += v
			case v := <-c[7]:
				sum += v
			case v := <-c[8]:
				sum += v
			case v := <-c[9]:
				sum += v
			case v := <-c[10]:
				sum += v
			case v := <-c[11]:
				sum += v
			case v := <-c[12]:
				sum += v
			case v := <-c[13]:
				sum += v
			case v := <-c[14]:
				sum += v
			case v := <-c[15]:
				sum += v
			case v := <-c[16]:
				sum += v
			case v := <-c[17]:
				sum += v
			case v := <-c[18]:
				sum += v
			case v := <-c[19]:
				sum += v
			case v := <-c[20]:
				sum += v
			case v := <-c[21]:
				sum += v
			case v := <-c[22]:
				sum += v
			case v := <-c[23]:
				sum += v
			case v := <-c[24]:
				sum += v
			case v := <-c[25]:
				sum += v
			case v := <-c[26]:
				sum += v
			case v := <-c[27]:
				sum += v
			case v := <-c[28]:
				sum += v
			case v := <-c[29]:
				sum += v
			case v := <-c[30]:
				sum += v
			case v := <-c[31]:
				sum += v
			case v := <-c[32]:
				sum += v
			case v := <-c[33]:
				sum += v
			case v := <-c[34]:
				sum += v
			case v := <-c[35]:
				sum += v
			case v := <-c[36]:
				sum += v
			case v := <-c[37]:
				sum += v
			case v := <-c[38]:
				sum += v
			case v := <-c[39]:
				sum += v
			case v := <-c[40]:
				sum += v
			case v := <-c[41]:
				sum += v
			case v := <-c[42]:
				sum += v
			case v := <-c[43]:
				sum += v
			case v := <-c[44]:
				sum += v
			case v := <-c[45]:
				sum += v
			case v := <-c[46]:
				sum += v
			case v := <-c[47]:
				sum += v
			case v := <-c[48]:
				sum += v
			case v := <-c[49]:
				sum += v
			case v := <-c[50]:
				sum += v
			case v := <-c[51]:
				sum += v
			case v := <-c[52]:
				sum += v
			case v := <-c[53]:
				sum += v
			case v := <-c[54]:
				sum += v
			case v := <-c[55]:
				sum += v
			case v := <-c[56]:
				sum += v
			case v := <-c[57]:
				sum += v
			case v := <-c[58]:
				sum += v
			case v := <-c[59]:
				sum += v
			case v := <-c[60]:
				sum += v
			case v := <-c[61]:
				sum += v
			case v := <-c[62]:
				sum += v
			case v := <-c[63]:
				sum += v
			}
		}
		check("select_64", sum, n/64*64)
		all.Done()
	}()
	all.Wait()
	return per(t, n)
}

func mutex(tasks, n int) float64 {
	var m sync.Mutex
	var all sync.WaitGroup
	all.Add(tasks)
	count := 0
	t := time.Now()
	for i := 0; i < tasks; i++ {
		go func() {
			for k := 0; k < n/tasks; k++ {
				m.Lock()
				count++
				m.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	d := per(t, n)
	check("mutex", count, n/tasks*tasks)
	return d
}

func readMostly(n int) float64 {
	var m sync.RWMutex
	var all sync.WaitGroup
	var seen atomic.Int64
	all.Add(8)
	count := 0
	t := time.Now()
	for i := 0; i < 8; i++ {
		go func() {
			sum := 0
			for k := 0; k < n/8; k++ {
				if k%100 == 99 {
					m.Lock()
					count++
					m.Unlock()
				} else {
					m.RLock()
					sum += count
					m.RUnlock()
				}
			}
			seen.Add(int64(sum))
			all.Done()
		}()
	}
	all.Wait()
	d := per(t, n)
	check("read_mostly", count, n/8/100*8)
	return d
}

func sky(c chan int, number, size int) {
	if size == 1 {
		c <- number
		return
	}
	from := make(chan int)
	for i := 0; i < 10; i++ {
		go sky(from, number+i*(size/10), size/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-from
	}
	c <- sum
}

func skynet(n int) float64 {
	c := make(chan int)
	t := time.Now()
	go sky(c, 0, n)
	sum := <-c
	d := per(t, n)
	check("skynet", sum, n*(n-1)/2)
	return d
}

func skyJoin(number, size int) int {
	if size == 1 {
		return number
	}
	var part [10]int
	var all sync.WaitGroup
	all.Add(10)
	for i := 0; i < 10; i++ {
		go func() {
			part[i] = skyJoin(number+i*(size/10), size/10)
			all.Done()
		}()
	}
	all.Wait()
	sum := 0
	for _, v := range part {
		sum += v
	}
	return sum
}

func skynetJoin(n int) float64 {
	t := time.Now()
	sum := skyJoin(0, n)
	d := per(t, n)
	check("skynet_join", sum, n*(n-1)/2)
	return d
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	var a int
	var one sync.WaitGroup
	one.Add(1)
	go func() {
		a = fib(n - 1)
		one.Done()
	}()
	b := fib(n - 2)
	one.Wait()
	return a + b
}

func fibonacci(n int) float64 {
	t := time.Now()
	f := fib(n)
	ns := float64(time.Since(t).Nanoseconds())
	a, b := 0, 1
	for i := 0; i < n; i++ {
		a, b = b, a+b
	}
	check("fib", f, a)
	return ns / float64(b-1)
}

type board struct{ row [14]int8 }

func place(n, column int, b board) int {
	if column == n {
		return 1
	}
	var rows [14]int
	k := 0
	for r := 0; r < n; r++ {
		free := true
		for c := 0; c < column && free; c++ {
			d := int(b.row[c]) - r
			if d < 0 {
				d = -d
			}
			free = d != 0 && d != column-c
		}
		if free {
			rows[k] = r
			k++
		}
	}
	var found [14]int
	var all sync.WaitGroup
	all.Add(k)
	for i := 0; i < k; i++ {
		next := b
		next.row[column] = int8(rows[i])
		go func() {
			found[i] = place(n, column+1, next)
			all.Done()
		}()
	}
	all.Wait()
	sum := 0
	for _, f := range found {
		sum += f
	}
	return sum
}

func queens() float64 {
	t := time.Now()
	check("queens", place(10, 0, board{}), 724)
	return float64(time.Since(t).Nanoseconds()) / 1e6
}

func parked(n int) {
	runtime.GC()
	debug.FreeOSMemory()
	before := residentBytes()
	var gate, all, started sync.WaitGroup
	gate.Add(1)
	all.Add(n)
	started.Add(n)
	t := time.Now()
	for i := 0; i < n; i++ {
		go func() {
			started.Done()
			gate.Wait()
			all.Done()
		}()
		if i%64 == 63 {
			runtime.Gosched()
		}
	}
	started.Wait()
	out("create_ns", per(t, n))
	out("bytes", (residentBytes()-before)/float64(n))
	t = time.Now()
	gate.Done()
	all.Wait()
	out("wake_ns", per(t, n))
}

func sleepers(n int) {
	var all sync.WaitGroup
	all.Add(n)
	cpu := cpuMs()
	t := time.Now()
	for i := 0; i < n; i++ {
		d := time.Duration(100+i%100) * time.Millisecond
		go func() {
			time.Sleep(d)
			all.Done()
		}()
	}
	all.Wait()
	out("wall_ms", per(t, 1)/1e6)
	out("cpu_ms", cpuMs()-cpu)
}

func lateness(talk bool, n int) {
	var stop atomic.Bool
	var busy sync.WaitGroup
	busy.Add(4)
	for i := 0; i < 4; i += 2 {
		if talk {
			a, b := make(chan int), make(chan int)
			go func() {
				for v := 0; v >= 0; {
					v = <-a
					b <- v
				}
				busy.Done()
			}()
			go func() {
				for v := 0; v >= 0; {
					if stop.Load() {
						v = -1
					} else {
						v = 1
					}
					a <- v
					v = <-b
				}
				busy.Done()
			}()
		} else {
			for k := 0; k < 2; k++ {
				go func() {
					for !stop.Load() {
					}
					busy.Done()
				}()
			}
		}
	}
	var late []float64
	var timer sync.WaitGroup
	timer.Add(1)
	go func() {
		for i := 0; i < n; i++ {
			t := time.Now()
			time.Sleep(time.Millisecond)
			late = append(late, float64(time.Since(t).Nanoseconds())/1e3-1000)
		}
		timer.Done()
	}()
	timer.Wait()
	stop.Store(true)
	busy.Wait()
	sort.Float64s(late)
	at := func(part float64) float64 { return late[int(part*float64(len(late)-1))] }
	out("p50_us", at(0.5))
	out("p99_us", at(0.99))
	out("p99.9_us", at(0.999))
}

func cancelTree(n int) float64 {
	root, cancel := context.WithCancel(context.Background())
	all := []context.Context{root}
	for i := 1; i < n; i++ {
		ctx, _ := context.WithCancel(all[(i-1)/2]) // the root's cancel ends it
		all = append(all, ctx)
	}
	var started, ended sync.WaitGroup
	started.Add(n)
	ended.Add(n)
	for _, ctx := range all {
		go func() {
			started.Done()
			<-ctx.Done()
			ended.Done()
		}()
	}
	started.Wait()
	t := time.Now()
	cancel()
	ended.Wait()
	return per(t, n)
}

type shape struct {
	name string
	run  func()
}

func ns(name string, warm, measure func() float64) shape {
	return shape{name, func() {
		warm()
		out("ns", measure())
	}}
}

var shapes = []shape{
	ns("spawn", func() float64 { return spawn(100000) }, func() float64 { return spawn(1000000) }),
	ns("spawn_100", func() float64 { return spawn100(100000) }, func() float64 { return spawn100(1000000) }),
	ns("spawn_large", func() float64 { return spawnLarge(100000) }, func() float64 { return spawnLarge(1000000) }),
	ns("spawn_one", func() float64 { return spawnOne(10000) }, func() float64 { return spawnOne(500000) }),
	ns("yield_2", func() float64 { return yields(2, 100000) }, func() float64 { return yields(2, 4000000) }),
	ns("yield_1000", func() float64 { return yields(1000, 100000) }, func() float64 { return yields(1000, 4000000) }),
	ns("ping_pong", func() float64 { return pingPong(10000) }, func() float64 { return pingPong(1000000) }),
	ns("buffered", func() float64 { return buffered(10000, 1, 4, 128) }, func() float64 { return buffered(4000000, 1, 4, 128) }),
	ns("channels_8", func() float64 { return buffered(10000, 8, 1, 16) }, func() float64 { return buffered(4000000, 8, 1, 16) }),
	ns("fan", func() float64 { return fan(10000) }, func() float64 { return fan(1000000) }),
	ns("pipeline", func() float64 { return pipeline(100, 100) }, func() float64 { return pipeline(20000, 100) }),
	ns("select_4", func() float64 { return select4(10000) }, func() float64 { return select4(2000000) }),
	ns("select_64", func() float64 { return select64(6400) }, func() float64 { return select64(200000) }),
	ns("mutex_1", func() float64 { return mutex(1, 200000) }, func() float64 { return mutex(1, 20000000) }),
	ns("mutex_8", func() float64 { return mutex(8, 80000) }, func() float64 { return mutex(8, 8000000) }),
	ns("read_mostly", func() float64 { return readMostly(80000) }, func() float64 { return readMostly(8000000) }),
	ns("skynet", func() float64 { return skynet(1000) }, func() float64 { return skynet(1000000) }),
	ns("skynet_join", func() float64 { return skynetJoin(1000) }, func() float64 { return skynetJoin(1000000) }),
	ns("fib_25", func() float64 { return fibonacci(15) }, func() float64 { return fibonacci(25) }),
	{"queens_10", func() { out("ms", queens()) }},
	{"parked", func() { parked(1000000) }},
	{"sleepers", func() { sleepers(100000) }},
	{"late_talking", func() { lateness(true, 2000) }},
	{"late_computing", func() { lateness(false, 1000) }},
	ns("cancel_tree", func() float64 { return cancelTree(1000) }, func() float64 { return cancelTree(10000) }),
}

func main() {
	if len(os.Args) < 3 {
		for _, s := range shapes {
			fmt.Println(s.name)
		}
		return
	}
	workers, _ := strconv.Atoi(os.Args[1])
	runtime.GOMAXPROCS(workers)
	for _, s := range shapes {
		if s.name == os.Args[2] {
			s.run()
		}
	}
}

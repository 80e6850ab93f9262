// go-redis against a server: flow HOST PORT.
//
// Promises that strings, keys, bits, pipelines, errors and the connection and server commands
// behave as go-redis expects, once over RESP2 and once over RESP3, and that a pool of
// connections used from many goroutines loses no update. Prints each step; any surprise panics.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	keyCount   = 1000
	batchCount = 500
	bigBytes   = 5 * 1024 * 1024
)

var ctx = context.Background()

// session is what every step gets.
type session struct {
	*redis.Client
	protocol int
	port     string
}

type step struct {
	name string
	run  func(session)
}

var steps = []step{
	{"strings", stringValues}, {"binary", binaryValues}, {"counters", counters},
	{"many keys", manyKeys}, {"expiry", expiry}, {"removal", removal}, {"scan", scan},
	{"pipelines", pipelines}, {"errors", errorReplies}, {"bits", bits}, {"ranges", ranges},
	{"connection", connection}, {"server", server}, {"databases", databases},
	{"large", large}, {"parallel", parallel},
}

// ok passes a reply on and panics on an error.
func ok[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func equal(got, want any) {
	if !reflect.DeepEqual(got, want) {
		panic(fmt.Sprintf("got %.200q, want %.200q", fmt.Sprint(got), fmt.Sprint(want)))
	}
}

func isTrue(condition bool, what string) {
	if !condition {
		panic(what)
	}
}

func isTTL(got time.Duration, longest time.Duration) {
	isTrue(got > 0 && got <= longest, fmt.Sprintf("TTL %v, want at most %v", got, longest))
}

// fails wants an error reply with all the words in it.
func fails(err error, words ...string) {
	var reply redis.Error
	isTrue(errors.As(err, &reply), fmt.Sprintf("no error reply but %v", err))
	for _, word := range words {
		isTrue(strings.Contains(err.Error(), word), fmt.Sprintf("%q lacks %q", err, word))
	}
}

func waitUntilGone(r session, key string) {
	for deadline := time.Now().Add(5 * time.Second); r.Get(ctx, key).Err() != redis.Nil; {
		isTrue(time.Now().Before(deadline), key+" does not expire")
		time.Sleep(10 * time.Millisecond)
	}
}

func stringValues(r session) {
	equal(ok(r.Set(ctx, "s", "one", 0).Result()), "OK")
	equal(ok(r.Get(ctx, "s").Result()), "one")
	equal(r.Get(ctx, "absent").Err(), redis.Nil)
	equal(r.SetArgs(ctx, "s", "two", redis.SetArgs{Mode: "NX"}).Err(), redis.Nil)
	equal(ok(r.SetArgs(ctx, "s", "two", redis.SetArgs{Mode: "XX"}).Result()), "OK")
	equal(ok(r.SetArgs(ctx, "s", "three", redis.SetArgs{Get: true}).Result()), "two")
	equal(ok(r.Set(ctx, "s", "four", 100*time.Second).Result()), "OK")
	equal(ok(r.Set(ctx, "s", "five", redis.KeepTTL).Result()), "OK")
	isTTL(ok(r.TTL(ctx, "s").Result()), 100*time.Second)
	equal(ok(r.Set(ctx, "s", "six", 0).Result()), "OK")
	equal(ok(r.TTL(ctx, "s").Result()), time.Duration(-1))
	equal(ok(r.GetEx(ctx, "s", 50*time.Second).Result()), "six")
	isTTL(ok(r.TTL(ctx, "s").Result()), 50*time.Second)
	equal(ok(r.GetDel(ctx, "s").Result()), "six")
	equal(ok(r.Exists(ctx, "s").Result()), int64(0))
	equal(ok(r.Do(ctx, "SETNX", "n", "v").Bool()), true)
	equal(ok(r.Type(ctx, "n").Result()), "string")
}

func binaryValues(r session) {
	value := make([]byte, 1024)
	for i := range value {
		value[i] = byte(i)
	}
	key := "bin\r\n\x00\xff key"
	equal(ok(r.Set(ctx, key, value, 0).Result()), "OK")
	equal(ok(r.Get(ctx, key).Bytes()), value)
	equal(ok(r.StrLen(ctx, key).Result()), int64(len(value)))
	equal(ok(r.Set(ctx, "empty", "", 0).Result()), "OK")
	equal(ok(r.Get(ctx, "empty").Result()), "")
}

func counters(r session) {
	equal(ok(r.Incr(ctx, "c").Result()), int64(1))
	equal(ok(r.IncrBy(ctx, "c", 41).Result()), int64(42))
	equal(ok(r.Decr(ctx, "c").Result()), int64(41))
	equal(ok(r.DecrBy(ctx, "c", 50).Result()), int64(-9))
	equal(ok(r.Get(ctx, "c").Int()), -9)
	equal(ok(r.IncrByFloat(ctx, "f", 1.5).Result()), 1.5)
	equal(ok(r.IncrByFloat(ctx, "f", 0.25).Result()), 1.75)
}

func manyKeys(r session) {
	var names []string
	var pairs, want []any
	for i := range 50 {
		name, value := fmt.Sprint("m", i), fmt.Sprint("v", i)
		names, pairs, want = append(names, name), append(pairs, name, value), append(want, value)
	}
	equal(ok(r.MSet(ctx, pairs...).Result()), "OK")
	equal(ok(r.MGet(ctx, append(names, "absent")...).Result()), append(want, nil))
	equal(ok(r.MSetNX(ctx, "m0", "x", "fresh", "x").Result()), false)
	equal(ok(r.Exists(ctx, "fresh").Result()), int64(0))
}

func expiry(r session) {
	ok(r.Set(ctx, "e", "v", 0).Result())
	equal(ok(r.TTL(ctx, "e").Result()), time.Duration(-1))
	equal(ok(r.TTL(ctx, "absent").Result()), time.Duration(-2))
	equal(ok(r.Expire(ctx, "e", 100*time.Second).Result()), true)
	isTTL(ok(r.TTL(ctx, "e").Result()), 100*time.Second)
	isTTL(ok(r.PTTL(ctx, "e").Result()), 100*time.Second)
	equal(ok(r.Expire(ctx, "absent", 100*time.Second).Result()), false)
	equal(ok(r.Persist(ctx, "e").Result()), true)
	equal(ok(r.TTL(ctx, "e").Result()), time.Duration(-1))
	equal(ok(r.PExpire(ctx, "e", 20*time.Millisecond).Result()), true)
	waitUntilGone(r, "e")
	ok(r.Set(ctx, "e", "v", 20*time.Millisecond).Result())
	waitUntilGone(r, "e")
}

func removal(r session) {
	ok(r.MSet(ctx, "d1", 1, "d2", 2, "d3", 3).Result())
	equal(ok(r.Exists(ctx, "d1", "d2", "d3", "d4").Result()), int64(3))
	equal(ok(r.Del(ctx, "d1", "d4").Result()), int64(1))
	equal(ok(r.Unlink(ctx, "d2", "d3", "d4").Result()), int64(2))
	equal(ok(r.Exists(ctx, "d1", "d2", "d3").Result()), int64(0))
}

func scanned(iterator *redis.ScanIterator) map[string]bool {
	found := map[string]bool{}
	for iterator.Next(ctx) {
		found[iterator.Val()] = true
	}
	ok(0, iterator.Err())
	return found
}

func scan(r session) {
	want := map[string]bool{}
	var pairs []any
	for i := range keyCount {
		name := fmt.Sprint("scan:", i)
		want[name], pairs = true, append(pairs, name, i)
	}
	ok(r.MSet(ctx, pairs...).Result())
	ok(r.Set(ctx, "other", 1, 0).Result())
	all := scanned(r.Scan(ctx, 0, "", 50).Iterator())
	isTrue(all["other"], "SCAN lost a key")
	for name := range want {
		isTrue(all[name], "SCAN lost "+name)
	}
	equal(scanned(r.Scan(ctx, 0, "scan:*", 50).Iterator()), want)
	equal(scanned(r.ScanType(ctx, 0, "scan:*", 50, "string").Iterator()), want)
}

func pipelines(r session) {
	var gets []*redis.StringCmd
	var sums []*redis.IntCmd
	replies := ok(r.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range batchCount {
			pipe.Set(ctx, fmt.Sprint("p", i), i, 0)
			sums = append(sums, pipe.Incr(ctx, "total"))
			gets = append(gets, pipe.Get(ctx, fmt.Sprint("p", i)))
		}
		return nil
	}))
	equal(len(replies), 3*batchCount)
	for i := range batchCount {
		equal(sums[i].Val(), int64(i+1))
		equal(gets[i].Val(), strconv.Itoa(i))
	}
}

func errorReplies(r session) {
	ok(r.Set(ctx, "word", "abc", 0).Result())
	fails(r.Incr(ctx, "word").Err(), "ERR", "not an integer")
	fails(r.Do(ctx, "NOSUCHCOMMAND", "x").Err(), "unknown command", "NOSUCHCOMMAND")
	fails(r.Do(ctx, "GET").Err(), "wrong number of arguments")
	fails(r.Do(ctx, "SET", "a", "b", "NOSUCHOPTION").Err(), "syntax error")
	pipe := r.Pipeline()
	before, middle, after := pipe.Get(ctx, "word"), pipe.Incr(ctx, "word"), pipe.Get(ctx, "word")
	_, err := pipe.Exec(ctx)
	fails(err, "not an integer")
	fails(middle.Err(), "not an integer")
	equal([]string{ok(before.Result()), ok(after.Result())}, []string{"abc", "abc"})
}

func bits(r session) {
	equal(ok(r.SetBit(ctx, "b", 7, 1).Result()), int64(0))
	equal(ok(r.SetBit(ctx, "b", 7, 1).Result()), int64(1))
	equal(ok(r.SetBit(ctx, "b", 100, 1).Result()), int64(0))
	equal(ok(r.GetBit(ctx, "b", 7).Result()), int64(1))
	equal(ok(r.GetBit(ctx, "b", 8).Result()), int64(0))
	equal(ok(r.GetBit(ctx, "b", 5000).Result()), int64(0))
	equal(ok(r.BitCount(ctx, "b", nil).Result()), int64(2))
	equal(ok(r.BitCount(ctx, "b", &redis.BitCount{Start: 0, End: 0}).Result()), int64(1))
	equal(ok(r.StrLen(ctx, "b").Result()), int64(13))
}

func ranges(r session) {
	ok(r.Set(ctx, "g", "Hello World", 0).Result())
	equal(ok(r.GetRange(ctx, "g", 0, 4).Result()), "Hello")
	equal(ok(r.GetRange(ctx, "g", -5, -1).Result()), "World")
	equal(ok(r.GetRange(ctx, "g", 50, 60).Result()), "")
	equal(ok(r.SetRange(ctx, "g", 6, "Redis").Result()), int64(11))
	equal(ok(r.Append(ctx, "g", "!").Result()), int64(12))
	equal(ok(r.Get(ctx, "g").Result()), "Hello Redis!")
}

func connection(r session) {
	one := r.Conn() // one connection, not the pool
	defer one.Close()
	var hello map[string]any
	if r.protocol == 3 {
		hello = ok(one.Hello(ctx, 3, "", "", "").Result())
	} else {
		list := ok(one.Do(ctx, "HELLO", "2").Slice())
		hello = map[string]any{}
		for i := 0; i < len(list); i += 2 {
			hello[list[i].(string)] = list[i+1]
		}
	}
	equal(hello["proto"], int64(r.protocol))
	for _, field := range []string{"server", "version", "id", "mode", "role"} {
		isTrue(hello[field] != nil, "HELLO lacks "+field)
	}
	equal(ok(one.Ping(ctx).Result()), "PONG")
	equal(ok(one.Echo(ctx, "hi").Result()), "hi")
	equal(ok(one.ClientSetName(ctx, "flow").Result()), true)
	equal(ok(one.ClientGetName(ctx).Result()), "flow")
	equal(ok(one.ClientID(ctx).Result()), hello["id"])
}

func server(r session) {
	limits := ok(r.ConfigGet(ctx, "maxmemory").Result())
	isTrue(ok(strconv.Atoi(limits["maxmemory"])) >= 0, "CONFIG GET maxmemory")
	info := ok(r.Info(ctx).Result())
	field := func(pattern, text string) string {
		match := regexp.MustCompile("(?m)^" + pattern).FindStringSubmatch(text)
		isTrue(match != nil, "INFO lacks "+pattern)
		return match[1]
	}
	field(`redis_version:(\d+\.\d+\.\d+)\r$`, info)
	field(`uptime_in_seconds:(\d+)\r$`, info)
	equal(field(`tcp_port:(\d+)\r$`, info), r.port)
	keys := field(`db0:keys=(\d+),`, ok(r.Info(ctx, "keyspace").Result()))
	equal(keys, fmt.Sprint(ok(r.DBSize(ctx).Result())))
}

func databases(r session) {
	one := r.Conn()
	defer one.Close()
	before := ok(one.DBSize(ctx).Result())
	isTrue(before > keyCount, "DBSIZE")
	equal(ok(one.Select(ctx, 1).Result()), "OK")
	equal(ok(one.DBSize(ctx).Result()), int64(0))
	ok(one.Set(ctx, "only", "here", 0).Result())
	equal(ok(one.DBSize(ctx).Result()), int64(1))
	equal(ok(one.FlushDB(ctx).Result()), "OK")
	equal(ok(one.DBSize(ctx).Result()), int64(0))
	equal(ok(one.Select(ctx, 0).Result()), "OK")
	equal(ok(one.DBSize(ctx).Result()), before)
	fails(one.Select(ctx, 1_000_000).Err(), "out of range")
}

func large(r session) {
	value := bytes.Repeat([]byte("0123456789abcdef"), bigBytes/16)
	value[bigBytes-1] = 0
	equal(ok(r.Set(ctx, "big", value, 0).Result()), "OK")
	equal(ok(r.StrLen(ctx, "big").Result()), int64(bigBytes))
	isTrue(bytes.Equal(ok(r.Get(ctx, "big").Bytes()), value), "the large value came back changed")
	equal(ok(r.GetRange(ctx, "big", bigBytes-2, -1).Result()), "e\x00")
	equal(ok(r.Unlink(ctx, "big").Result()), int64(1))
}

func parallel(r session) {
	var group sync.WaitGroup
	faults := make(chan error, 16)
	for range cap(faults) {
		group.Add(1)
		go func() {
			defer group.Done()
			for range 100 {
				if err := r.Incr(ctx, "hits").Err(); err != nil {
					faults <- err
					return
				}
			}
		}()
	}
	group.Wait()
	close(faults)
	for err := range faults {
		panic(err)
	}
	equal(ok(r.Get(ctx, "hits").Int()), 100*cap(faults))
}

func flow(host, port string, protocol int) {
	r := session{redis.NewClient(&redis.Options{
		Addr: net.JoinHostPort(host, port), Protocol: protocol, MaxRetries: -1,
	}), protocol, port}
	defer r.Close()
	ok(r.FlushDB(ctx).Result())
	for _, step := range steps {
		fmt.Printf("RESP%d %s\n", protocol, step.name)
		step.run(r)
	}
}

func main() {
	for _, protocol := range []int{2, 3} {
		flow(os.Args[1], os.Args[2], protocol)
	}
}

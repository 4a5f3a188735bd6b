// The reference implementation of WRP-SSP at work, for the benchmark beside it.
//
// Argument: a file of packets of 65,536 octets. Commands come as lines on stdin: `out|in ENCODING COUNT`, the encoding as the reference
// names it. Each is answered with a line: nanoseconds, nanoseconds of processor time, octets of all payloads of the file.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/xmidt-org/wrp-go/v5"
	wrpssp "github.com/xmidt-org/wrpssp/v2"
)

const packetLen = 65536

// The octets of the file again and again, so many in all.
type cycle struct {
	data []byte
	at   int
	left int
}

func (c *cycle) Read(into []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := copy(into[:min(len(into), c.left)], c.data[c.at:])
	c.at = (c.at + n) % len(c.data)
	c.left -= n
	return n, nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func processor() int64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}

var base = wrp.Message{Type: wrp.SimpleEventMessageType, Source: "mac:112233445566/log", Destination: "event:log"}

// Every packet cut, compressed and written as MessagePack into a buffer that is used again; each is shown to see.
func out(data []byte, encoding string, count int, see func(message *wrp.Message, octets []byte)) {
	packer, err := wrpssp.New(
		wrpssp.ID("s1"),
		wrpssp.Reader(&cycle{data: data, left: count * packetLen}),
		wrpssp.MaxPacketSize(packetLen),
		wrpssp.WithEncoding(wrpssp.Encoding(encoding)),
	)
	must(err)
	var buffer []byte
	for {
		message, err := packer.Next(context.Background(), base)
		if message == nil {
			break
		}
		buffer, err = message.EncodeMsgpack(buffer[:0])
		must(err)
		see(message, buffer)
	}
}

// Every packet read from MessagePack, joined, decompressed and read.
func in(packets [][]byte, count int) {
	into := make([]byte, packetLen)
	for done := 0; done < count; {
		var assembler wrpssp.Assembler
		for _, octets := range packets {
			var message wrp.Message
			_, err := message.DecodeMsgpack(octets)
			must(err)
			must(assembler.ProcessWRP(context.Background(), message))
			if len(message.Payload) == 0 {
				break
			}
			_, err = io.ReadFull(&assembler, into)
			must(err)
			if done++; done == count {
				return
			}
		}
		if n, err := assembler.Read(into); n != 0 || !errors.Is(err, io.EOF) {
			panic("a stream has no end")
		}
	}
}

func main() {
	data, err := os.ReadFile(os.Args[1])
	must(err)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var way, encoding string
		var count int
		_, err := fmt.Sscanf(lines.Text(), "%s %s %d", &way, &encoding, &count)
		must(err)
		octets := 0
		var packets [][]byte
		out(data, encoding, len(data)/packetLen, func(message *wrp.Message, written []byte) {
			octets += len(message.Payload)
			packets = append(packets, bytes.Clone(written))
		})
		begun, begunProcessor := time.Now(), processor()
		if way == "out" {
			out(data, encoding, count, func(*wrp.Message, []byte) {})
		} else {
			in(packets, count)
		}
		fmt.Println(time.Since(begun).Nanoseconds(), processor()-begunProcessor, octets)
	}
}

// Mongod stands in for the one of the image mongo:8.0 where that cannot be pulled: it starts the server of tests/mongo,
// and says on each connection that it is the primary of the replica set rs0 with one member, mongo:27017. It takes
// no notice of its arguments, and ends with SIGTERM. It is built with wire.go of tests/mongo.
package main

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

const (
	inner = "127.0.0.1:27018"
	outer = ":27017"
)

// member is what hello says of a replica set, as BSON: setName "rs0", hosts ["mongo:27017"], me, primary.
var member = concat(
	text("setName", "rs0"), text("me", "mongo:27017"), text("primary", "mongo:27017"),
	element(4, "hosts", document(text("0", "mongo:27017"))),
)

func main() {
	server := exec.Command("mongo-server", "-listen", inner, "-dir", "/data/db")
	server.Stdout, server.Stderr = os.Stdout, os.Stderr
	if err := server.Start(); err != nil {
		log.Fatal(err)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-end
		server.Process.Signal(syscall.SIGTERM)
	}()
	listener, err := net.Listen("tcp", outer)
	if err != nil {
		log.Fatal(err)
	}
	go accept(listener)
	if err := server.Wait(); err != nil {
		log.Fatal(err)
	}
}

func accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", inner)
			if err != nil {
				return
			}
			defer server.Close()
			go func() {
				io.Copy(server, client)
				server.Close()
			}()
			answer(client, server)
		}()
	}
}

// answer passes answers on until one end is gone, those of hello with the replica set in them.
func answer(client io.Writer, server io.Reader) {
	for {
		message, err := readMessage(server)
		if err != nil {
			return
		}
		if _, err := client.Write(introduced(message)); err != nil {
			return
		}
	}
}

// introduced adds the replica set to a message whose document says who is primary.
func introduced(message []byte) []byte {
	at := 36 // OP_REPLY: after flags, cursor, start and number.
	if binary.LittleEndian.Uint32(message[12:]) == 2013 {
		at = 21 // OP_MSG: after flags and the kind of the section.
	}
	if len(message) < at+5 || !saysPrimary(message[at:]) {
		return message
	}
	whole := concat(message[:at+4], member, message[at+4:])
	binary.LittleEndian.PutUint32(whole, uint32(len(whole)))
	length := binary.LittleEndian.Uint32(message[at:]) + uint32(len(member))
	binary.LittleEndian.PutUint32(whole[at:], length)
	return whole
}

// saysPrimary is whether the first element of a document is the one with which hello answers.
func saysPrimary(doc []byte) bool {
	for _, name := range []string{"isWritablePrimary", "ismaster", "helloOk"} {
		if first := concat([]byte{8}, []byte(name), []byte{0}); len(doc) > 4+len(first) && string(doc[4:4+len(first)]) == string(first) {
			return true
		}
	}
	return false
}

func text(name, value string) []byte {
	return element(2, name, concat(le(len(value)+1), []byte(value), []byte{0}))
}

func element(kind byte, name string, value []byte) []byte {
	return concat([]byte{kind}, []byte(name), []byte{0}, value)
}

func document(elements []byte) []byte {
	return concat(le(len(elements)+5), elements, []byte{0})
}

func le(number int) []byte {
	return binary.LittleEndian.AppendUint32(nil, uint32(number))
}

func concat(parts ...[]byte) []byte {
	var whole []byte
	for _, part := range parts {
		whole = append(whole, part...)
	}
	return whole
}

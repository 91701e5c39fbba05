package main

import (
	"log"
	"net"
	"sync"
	"time"
)

// serve connects each client with the server behind the socket inner, and lets one of their commands through
// at a time.
func serve(outer net.Listener, inner string) error {
	var turn sync.Mutex
	for {
		client, err := outer.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			server, err := dial(inner)
			if err != nil {
				log.Print(err)
				return
			}
			defer server.Close()
			// How a connection ends is its client's business.
			for relay(client, server, &turn) == nil {
			}
		}()
	}
}

// dial waits for the server to begin, since clients may come first.
func dial(inner string) (net.Conn, error) {
	var err error
	for range 100 {
		var server net.Conn
		if server, err = net.Dial("unix", inner); err == nil {
			return server, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, err
}

// relay takes one command to the server and its answer back. The answer is read before the turn ends, and sent
// after it, so that a client that does not read holds nobody up.
func relay(client, server net.Conn, turn *sync.Mutex) error {
	command, err := readMessage(client)
	if err != nil {
		return err
	}
	answer, err := exchange(server, command, turn)
	if err != nil {
		return err
	}
	_, err = client.Write(answer)
	return err
}

func exchange(server net.Conn, command []byte, turn *sync.Mutex) ([]byte, error) {
	turn.Lock()
	defer turn.Unlock()
	if _, err := server.Write(command); err != nil {
		return nil, err
	}
	return readMessage(server)
}

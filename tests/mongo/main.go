// Mongo is a MongoDB-protocol server for tests where no mongod is at hand: FerretDB 1.24 on its SQLite
// backend, behind a proxy that lets one command through at a time over all connections.
//
// FerretDB 1.24 looks a document up, judges the filter, and then writes it by its id alone, so that of two
// compare-and-set updates at the same time both match. One command at a time makes them atomic, as in
// MongoDB.
//
//	mongo -listen 127.0.0.1:27117 -dir DIRECTORY
//
// It says "listening on ADDRESS" on stdout when it answers, and ends with SIGTERM or SIGINT.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address to listen on; only loopback is accepted")
	dir := flag.String("dir", "", "the directory for the databases")
	flag.Parse()
	if err := run(*listen, *dir); err != nil {
		log.Fatal(err)
	}
}

func run(listen, dir string) error {
	address, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return err
	}
	if dir == "" || !address.IP.IsLoopback() {
		return errors.New("it needs -dir, and a loopback address: there is no password")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	inner := filepath.Join(dir, "s")
	// A server that was killed has left its socket behind.
	if err := os.Remove(inner); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: inner},
		Handler:   "sqlite",
		SQLiteURL: "file:" + dir + "/",
	})
	if err != nil {
		return err
	}
	outer, err := net.ListenTCP("tcp", address)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		if err := serve(outer, inner); err != nil {
			log.Fatal(err)
		}
	}()
	fmt.Println("listening on", outer.Addr())
	return db.Run(ctx)
}

package main

import (
	"encoding/binary"
	"fmt"
	"io"
)

// maxMessage is the size that MongoDB itself accepts.
const maxMessage = 48_000_000

// readMessage takes one message of MongoDB's wire protocol: its first four bytes are its length, little
// endian.
func readMessage(from io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(head[:])
	if length < 16 || length > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	message := make([]byte, length)
	copy(message, head[:])
	_, err := io.ReadFull(from, message[4:])
	return message, err
}

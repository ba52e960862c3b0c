package testorigin

import (
	"bufio"
	"crypto/sha1" // RFC 6455 asks for SHA-1, and no secret depends on it
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Private

// These are parts of the first two bytes of a frame (RFC 6455, section 5.2).
const (
	finalFrame  = 0x80
	opcodeMask  = 0x0f
	opcodeClose = 0x8
	masked      = 0x80
	lengthMask  = 0x7f
	longest     = 125 // bytes of a frame whose length is in its second byte
)

// acceptWebSocket does the handshake of RFC 6455, section 4.2.2, and returns each
// message until the client closes the connection or sends a long one.
func acceptWebSocket(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || key == "" {
		http.Error(w, "this path accepts a WebSocket only", http.StatusUpgradeRequired)
		return
	}
	connection, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "take over the connection: "+err.Error(), http.StatusInternalServerError)
		return
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(time.Minute)) // fails on a closed connection only, as the next write does
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(stream, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	for err == nil {
		if err = stream.Flush(); err == nil {
			err = returnFrame(stream)
		}
	}
}

// returnFrame reads a frame and writes it back unmasked, as a server must. It
// returns io.EOF when the client closes the WebSocket.
func returnFrame(stream *bufio.ReadWriter) error {
	var head [6]byte // of a frame with a short length: two bytes and the mask
	if _, err := io.ReadFull(stream, head[:]); err != nil {
		return err
	}
	if head[1]&masked == 0 || head[1]&lengthMask > longest {
		return errors.New("a frame is long or not masked")
	}
	payload := make([]byte, head[1]&lengthMask)
	if _, err := io.ReadFull(stream, payload); err != nil {
		return err
	}
	for i := range payload {
		payload[i] ^= head[2+i%4]
	}
	if head[0]&opcodeMask == opcodeClose {
		return io.EOF
	}
	_, err := stream.Write(append([]byte{finalFrame | head[0]&opcodeMask, byte(len(payload))}, payload...))
	return err
}

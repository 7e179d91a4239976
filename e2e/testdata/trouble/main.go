// Command trouble is a web program that gets into whichever trouble its
// environment asks for.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	status := http.StatusOK
	address := ":8080"
	switch trouble := os.Getenv("TROUBLE"); trouble {
	case "exits silently":
		return
	case "fails silently":
		os.Exit(1)
	case "misses a setting":
		log.Fatal("panic: could not start: DATABASE is not set")
	case "eats memory":
		var eaten [][]byte
		for {
			block := make([]byte, 1<<20)
			for i := range block {
				block[i] = 1
			}
			eaten = append(eaten, block)
		}
	case "starts late":
		time.Sleep(20 * time.Second)
	case "listens on localhost":
		address = "127.0.0.1:8080"
	case "listens elsewhere":
		address = ":3000"
	case "writes beside itself":
		if err := os.WriteFile("/data.db", nil, 0o600); err != nil {
			log.Fatal(err)
		}
	default:
		if code, err := strconv.Atoi(trouble); err == nil {
			status = code
		}
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(os.Environ())
	})
	http.HandleFunc("/socket", echo)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: address}
	context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	fmt.Println("listening on", address)
	log.Print(server.ListenAndServe())
}

// echo sends back what comes over a WebSocket, byte by byte: what lies between
// looks at the handshake alone.
func echo(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "this is for WebSockets", http.StatusUpgradeRequired)
		return
	}
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		log.Print(err)
		return
	}
	defer connection.Close()
	fmt.Fprint(connection, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	io.Copy(connection, buffered)
}

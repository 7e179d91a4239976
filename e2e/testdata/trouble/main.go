// Command trouble is a web program that gets into whichever trouble its
// environment asks for.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
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
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: address}
	context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	fmt.Println("listening on", address)
	log.Print(server.ListenAndServe())
}

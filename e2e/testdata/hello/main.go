// Command hello greets with a secret.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
)

func main() {
	http.HandleFunc("/alive", func(http.ResponseWriter, *http.Request) {})
	// FAIL_EVERY=20 answers one request of twenty with an error.
	every, _ := strconv.ParseInt(os.Getenv("FAIL_EVERY"), 10, 64)
	var requests atomic.Int64
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if n := requests.Add(1); every > 0 && n%every == 0 {
			http.Error(w, "one of many", http.StatusInternalServerError)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"greeting": os.Getenv("GREETING"), "path": r.URL.Path})
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: ":9000"}
	context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	fmt.Println("hello: serving on 9000")
	fmt.Println(server.ListenAndServe())
}

// Command hello greets with a secret.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	http.HandleFunc("/alive", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]string{"greeting": os.Getenv("GREETING"), "path": r.URL.Path})
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: ":9000"}
	context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	fmt.Println("hello: serving on 9000")
	fmt.Println(server.ListenAndServe())
}

// Command app is the application that the virtual machine serves: it counts
// visits in its database, so that a page tells which version answers and whether
// what was written is still there.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/jackc/pgx/v5/pgxpool"
)

var version = "unknown" // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return fmt.Errorf("read DATABASE_URL: %w", err)
	}
	defer pool.Close()
	// It may start before its database does.
	http.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := pool.Exec(r.Context(), "CREATE TABLE IF NOT EXISTS visits (at timestamptz DEFAULT now())"); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		var visits int
		if err := pool.QueryRow(r.Context(), "WITH one AS (INSERT INTO visits DEFAULT VALUES) SELECT count(*) + 1 FROM visits").Scan(&visits); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "version %s, visit %d\n", version, visits)
	})
	server := &http.Server{Addr: ":8080"}
	context.AfterFunc(ctx, func() { server.Shutdown(context.WithoutCancel(ctx)) }) //nolint:errcheck // it ends with the process
	log.Print("listening on :8080, version ", version)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Command static is the smallest application that a deploy can take: it
// answers with the line that bench changes.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

const line = "LINE"

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, line, os.Getenv("SETTING"))
	})
	log.Fatal(http.ListenAndServe(":8000", nil))
}

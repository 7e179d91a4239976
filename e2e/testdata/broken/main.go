// Command broken does not work, in the way that MODE names.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	switch os.Getenv("MODE") {
	case "crash":
		fmt.Println("broken: there is no harbour here")
		fmt.Println("broken: giving up")
		os.Exit(3)
	case "unready":
		fmt.Println("broken: not ready, and never will be")
		fmt.Println(http.ListenAndServe(":8000", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
		})))
	}
	os.Exit(1)
}

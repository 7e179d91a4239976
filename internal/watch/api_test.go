package watch

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/rest"
)

// fakeAPI is an API server that keeps ConfigMaps, as the watch asks for them, and has
// one log.
func fakeAPI(t *testing.T, objects ...*core.ConfigMap) *API {
	t.Helper()
	kept := map[string]*core.ConfigMap{}
	for _, o := range objects {
		kept["/api/v1/namespaces/"+o.Namespace+"/configmaps/"+o.Name] = o
	}
	scheme := runtime.NewScheme()
	if err := core.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	encoding := protobuf.NewSerializer(scheme, scheme)
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/namespaces/{namespace}/configmaps/{name...}", func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if r.Method == http.MethodPost || r.Method == http.MethodPut {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			sent := new(core.ConfigMap)
			if _, _, err := encoding.Decode(body, nil, sent); err != nil {
				t.Errorf("%s %s: %v", r.Method, path, err)
			}
			if r.Method == http.MethodPost {
				path += sent.Name
			} else if kept[path] == nil {
				missing(w)
				return
			}
			kept[path] = sent
		}
		if kept[path] == nil {
			missing(w)
			return
		}
		answer(w, kept[path], "v1", "ConfigMap")
	})
	mux.HandleFunc("POST /api/v1/namespaces/{namespace}/configmaps", func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path += "/"
		mux.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/pods/{name}/log", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s\n", r.PathValue("name"), r.FormValue("container"), r.FormValue("tailLines"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	api, err := Connect(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func answer(w http.ResponseWriter, object any, version, kind string) {
	text, _ := json.Marshal(object)
	var all map[string]any
	_ = json.Unmarshal(text, &all)
	all["apiVersion"], all["kind"] = version, kind
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all)
}

func missing(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
}

func TestALogIsAskedForByItsContainer(t *testing.T) {
	lines := int64(7)
	log, err := fakeAPI(t).Log(t.Context(), "production", "shop-a", &core.PodLogOptions{Container: "web", TailLines: &lines})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if text, err := io.ReadAll(log); err != nil || string(text) != "shop-a web 7\n" {
		t.Errorf("got %q, %v", text, err)
	}
}

package platform

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	batch "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth/internal/progress"
)

// Who interrupts a Job hears how its program has left things: a restore may be done
// before the program is told to end.
func TestAnInterruptedJobSaysHowItLeftThings(t *testing.T) {
	for _, test := range []struct {
		name, says string
		kept       string
		err        string
	}{
		{"done before it heard", `{"msg":"comparing"}` + "\n" + `{"msg":"restored","kept":"app_before_1"}` + "\n", "app_before_1", "context canceled"},
		{"ended at its work", `{"msg":"comparing"}` + "\nbackup: restore 1: terminated; the database serves as before\n", "", "restore 1: terminated; the database serves as before"},
		{"not begun", "", "", "context canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			client := interruptedCluster(t, interrupt, test.says)
			b := &Backups{client: client, environment: "production"}
			job := &batch.Job{ObjectMeta: metav1.ObjectMeta{Name: "restore", Namespace: "production"}}
			var last map[string]any
			err := progress.Run(progress.Discard, "Restore", func(step progress.Step) (err error) {
				last, err = b.do(ctx, job, step)
				return err
			})
			if kept, _ := last["kept"].(string); kept != test.kept {
				t.Errorf("what is kept is %q, want %q", kept, test.kept)
			}
			if err == nil || err.Error() != test.err {
				t.Errorf("it says %v, want %s", err, test.err)
			}
		})
	}
}

// interruptedCluster is an API server that has one Job, which is interrupted as it is
// made, and its pod, until the Job is removed and its program has ended.
func interruptedCluster(t *testing.T, interrupt func(), says string) kubernetes.Interface {
	var removed, heard atomic.Bool
	heard.Store(says == "")
	gone := func() bool { return removed.Load() && heard.Load() }
	answer := func(w http.ResponseWriter, status int, object any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(object); err != nil {
			t.Error(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			interrupt()
			answer(w, http.StatusCreated, &batch.Job{})
		case r.Method == http.MethodDelete && gone():
			answer(w, http.StatusNotFound, apierrors.NewNotFound(schema.GroupResource{Group: "batch", Resource: "jobs"}, "restore").ErrStatus)
		case r.Method == http.MethodDelete:
			removed.Store(true)
			answer(w, http.StatusOK, &batch.Job{})
		case strings.HasSuffix(r.URL.Path, "/log"):
			if _, err := w.Write([]byte(says)); err != nil {
				t.Error(err)
			}
			heard.Store(true)
		case gone():
			answer(w, http.StatusOK, &corev1.PodList{})
		default:
			pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "restore-abcde", Namespace: "production"}}
			answer(w, http.StatusOK, &corev1.PodList{Items: []corev1.Pod{pod}})
		}
	}))
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

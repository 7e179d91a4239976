package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth/internal/kube"
)

// expire removes a namespace, usually the one that it runs in, when the time is over for
// which it was made: then a preview goes although nobody calls berth any more. It may do
// nothing else there; see package preview.
func expire(ctx context.Context, arguments []string, log *slog.Logger) error {
	flags := flag.NewFlagSet("watch expire", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig of the cluster (default the cluster this runs in)")
	namespace := flags.String("namespace", "", "namespace to remove")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *namespace == "" {
		return errors.New("-namespace names none")
	}
	config, err := restConfig(*kubeconfig)
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	client, err := kube.Connect(config)
	if err != nil {
		return err
	}
	return removeExpired(ctx, client, *namespace, time.Now(), log)
}

func removeExpired(ctx context.Context, client kubernetes.Interface, name string, now time.Time, log *slog.Logger) error {
	found, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("look at namespace %s: %w", name, err)
	}
	until := found.Annotations[kube.ExpiresAnnotation]
	if !kube.Owned(found) || !kube.Expired(found, now) {
		log.Info("the namespace has not expired", "namespace", name, "expires", until)
		return nil
	}
	log.Info("the namespace has expired and is removed", "namespace", name, "expires", until)
	err = client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(found.UID))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return nil
}

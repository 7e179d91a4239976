package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"berth/internal/kube/own"
	"berth/internal/watch"
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
	client, err := watch.Connect(config)
	if err != nil {
		return err
	}
	return removeExpired(ctx, client, *namespace, time.Now(), log)
}

func removeExpired(ctx context.Context, client *watch.API, name string, now time.Time, log *slog.Logger) error {
	found, err := client.Namespace(ctx, name)
	if err != nil {
		return fmt.Errorf("look at namespace %s: %w", name, err)
	}
	until := found.Annotations[own.ExpiresAnnotation]
	if !own.Owned(found) || !own.Expired(found, now) {
		log.Info("the namespace has not expired", "namespace", name, "expires", until)
		return nil
	}
	log.Info("the namespace has expired and is removed", "namespace", name, "expires", until)
	err = client.RemoveNamespace(ctx, found)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return nil
}

package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"berth/internal/provider/local/supervisor"
)

// KeepRules puts the cluster's rules back whenever a firewall that was loaded
// again has removed them, and opens one that came since: until ctx ends. It
// costs nothing while no rule of this machine's changes.
func KeepRules(ctx context.Context, log *slog.Logger) error {
	p, _, err := reopen()
	if p == nil || err != nil {
		return err
	}
	return p.keepRules(ctx, log)
}

// settle is how long a change of rules is waited out: most come in several, and
// kube-proxy's are many.
const settle = time.Second

func (p *Provider) keepRules(ctx context.Context, log *slog.Logger) error {
	changes, err := ruleChanges(ctx)
	if err != nil {
		return err
	}
	for {
		if err := p.repairRules(ctx, log); err != nil && ctx.Err() == nil {
			log.Error("keep the firewall's rules", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-changes:
		}
		select {
		case <-ctx.Done():
			for range changes { // until its reader has ended
			}
			return nil
		case <-time.After(settle):
		}
	}
}

// repairRules changes nothing that is right.
func (p *Provider) repairRules(ctx context.Context, log *slog.Logger) error {
	found, err := readRuleset(ctx)
	if err != nil {
		return err
	}
	if !found.holds("ip berth") {
		log.Warn("somebody removed the cluster's nftables rules, which come back")
		if err := p.network.loadRules(ctx); err != nil {
			return err
		}
		// Others do not miss their own: kube-proxy not before an hour is over.
		for part, table := range map[string]string{"kube-proxy": "ip kube-proxy", policiesPart: policiesTable} {
			if pid, ok := supervisor.PID(p.layout.supervisor(), part); ok && !found.holds(table) {
				if err := supervisor.End(pid); err != nil {
					return fmt.Errorf("restart %s: %w", part, err)
				}
			}
		}
	}
	return p.network.openFirewalls(ctx)
}

// ruleChanges tells of changes to nftables' rules, iptables' own among them. The
// channel is closed soon after ctx has ended.
func ruleChanges(ctx context.Context) (<-chan struct{}, error) {
	socket, err := nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return nil, fmt.Errorf("listen for changes of rules: %w", err)
	}
	context.AfterFunc(ctx, socket.Close)
	changes := make(chan struct{}, 1)
	go func() {
		defer close(changes)
		for {
			_, _, err := socket.Receive()
			if ctx.Err() != nil {
				return
			}
			// More than the kernel keeps is a change as well.
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				time.Sleep(settle)
			}
			select {
			case changes <- struct{}{}:
			default: // one is waiting to be looked at
			}
		}
	}()
	return changes, nil
}

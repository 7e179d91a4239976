package overview

import (
	"testing"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNodesAtAGlance(t *testing.T) {
	item := core.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-2"},
		Spec:       core.NodeSpec{Unschedulable: true},
		Status: core.NodeStatus{
			Allocatable: core.ResourceList{core.ResourceCPU: resource.MustParse("1500m"), core.ResourceMemory: resource.MustParse("3Gi")},
			Conditions:  []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionFalse, Reason: "KubeletNotReady"}},
		},
	}
	got := nodeOf(item)
	if got.Ready || got.State != "not ready: KubeletNotReady, takes no new pods" || got.CPUs != "1500m" || got.Memory != "3.0 GiB" {
		t.Errorf("%+v", got)
	}
	if unknown := nodeOf(core.Node{}); unknown.Ready || unknown.State != "unknown" {
		t.Errorf("%+v", unknown)
	}
}

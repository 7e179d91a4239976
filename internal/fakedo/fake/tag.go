package fake

import (
	"net/http"
	"slices"

	"github.com/digitalocean/godo"
)

// routeTags answers for tags and for the account's actions.
func (f *Fake) routeTags() {
	f.handle("GET /v2/tags", list("tags", func(*http.Request) []godo.Tag {
		all := make([]godo.Tag, len(f.account.Tags))
		for i, name := range f.account.Tags {
			all[i] = f.tag(name)
		}
		return all
	}))
	f.handle("POST /v2/tags", func(r *http.Request) (int, any, error) {
		var request godo.TagCreateRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		if request.Name == "" {
			return 0, nil, badRequest("Name can't be blank")
		}
		f.account.tagged([]string{request.Name})
		return http.StatusCreated, map[string]any{"tag": f.tag(request.Name)}, nil
	})
	f.handle("GET /v2/tags/{tag}", f.withTag(func(_ *http.Request, name string) (int, any, error) {
		return http.StatusOK, map[string]any{"tag": f.tag(name)}, nil
	}))
	f.handle("DELETE /v2/tags/{tag}", f.withTag(func(_ *http.Request, name string) (int, any, error) {
		f.account.Tags = slices.DeleteFunc(f.account.Tags, func(o string) bool { return o == name })
		f.eachTagged(func(_ godo.ResourceType, _ string, tags *[]string) {
			*tags = slices.DeleteFunc(*tags, func(o string) bool { return o == name })
		})
		return http.StatusNoContent, nil, nil
	}))
	f.handle("POST /v2/tags/{tag}/resources", f.withTag(f.tagResources(true)))
	f.handle("DELETE /v2/tags/{tag}/resources", f.withTag(f.tagResources(false)))

	f.handle("GET /v2/actions", list("actions", func(*http.Request) []*godo.Action { return f.account.Actions }))
}

func (f *Fake) withTag(work func(*http.Request, string) (int, any, error)) endpoint {
	return func(r *http.Request) (int, any, error) {
		name := r.PathValue("tag")
		if !slices.Contains(f.account.Tags, name) {
			return 0, nil, errNotFound
		}
		return work(r, name)
	}
}

// eachTagged visits what can be tagged by itself. Node pools and clusters bear
// their tags as properties.
func (f *Fake) eachTagged(visit func(kind godo.ResourceType, id string, tags *[]string)) {
	for _, v := range f.account.Volumes {
		visit(godo.VolumeResourceType, v.ID, &v.Tags)
	}
	for _, s := range f.account.Snapshots {
		visit(godo.VolumeSnapshotResourceType, s.ID, &s.Tags)
	}
	for _, b := range f.account.LoadBalancers {
		visit(godo.LoadBalancerResourceType, b.ID, &b.Tags)
	}
	for _, d := range f.account.Databases {
		visit(godo.DatabaseResourceType, d.ID, &d.Tags)
	}
}

func (f *Fake) tagResources(add bool) func(*http.Request, string) (int, any, error) {
	return func(r *http.Request, name string) (int, any, error) {
		var request godo.TagResourcesRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		f.eachTagged(func(kind godo.ResourceType, id string, tags *[]string) {
			if !slices.Contains(request.Resources, godo.Resource{ID: id, Type: kind}) {
				return
			}
			*tags = slices.DeleteFunc(*tags, func(o string) bool { return o == name })
			if add {
				*tags = append(*tags, name)
			}
		})
		return http.StatusNoContent, nil, nil
	}
}

func (f *Fake) tag(name string) godo.Tag {
	resources := &godo.TaggedResources{
		Images: &godo.TaggedImagesResources{}, Volumes: &godo.TaggedVolumesResources{},
		VolumeSnapshots: &godo.TaggedVolumeSnapshotsResources{}, Databases: &godo.TaggedDatabasesResources{},
	}
	f.eachTagged(func(kind godo.ResourceType, _ string, tags *[]string) {
		if !slices.Contains(*tags, name) {
			return
		}
		resources.Count++
		switch kind {
		case godo.VolumeResourceType:
			resources.Volumes.Count++
		case godo.VolumeSnapshotResourceType:
			resources.VolumeSnapshots.Count++
		case godo.DatabaseResourceType:
			resources.Databases.Count++
		}
	})
	return godo.Tag{Name: name, Resources: resources}
}

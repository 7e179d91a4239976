package fake

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/digitalocean/godo"
)

// Domain is a domain with its records.
type Domain struct {
	godo.Domain
	Records []*godo.DomainRecord `json:"fake_records"`
}

// standardTTL is what records live without a word about it, in seconds.
const standardTTL = 1800

func (f *Fake) routeDomains() {
	const domains = "/v2/domains"
	f.handle("GET "+domains, list("domains", func(*http.Request) []*godo.Domain {
		var all []*godo.Domain
		for _, d := range f.account.Domains {
			all = append(all, &d.Domain)
		}
		return all
	}))
	f.handle("POST "+domains, func(r *http.Request) (int, any, error) {
		var request godo.DomainCreateRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		switch {
		case !strings.Contains(request.Name, "."):
			return 0, nil, unprocessable("Name must be a valid domain")
		case slices.ContainsFunc(f.account.Domains, func(d *Domain) bool { return d.Name == request.Name }):
			return 0, nil, unprocessable("Name already exists")
		}
		d := &Domain{Domain: godo.Domain{Name: request.Name, TTL: standardTTL}}
		for n := 1; n <= 3; n++ {
			d.Records = append(d.Records, &godo.DomainRecord{ID: f.account.number(), Type: "NS", Name: "@", Data: "ns" + itoa(n) + ".digitalocean.com", TTL: standardTTL})
		}
		if request.IPAddress != "" {
			d.Records = append(d.Records, &godo.DomainRecord{ID: f.account.number(), Type: "A", Name: "@", Data: request.IPAddress, TTL: standardTTL})
		}
		f.account.Domains = append(f.account.Domains, d)
		f.assignToDefault(d.URN())
		return http.StatusCreated, map[string]any{"domain": d.Domain}, nil
	})
	f.handle("GET "+domains+"/{domain}", f.withDomain(func(_ *http.Request, d *Domain) (int, any, error) {
		return http.StatusOK, map[string]any{"domain": d.Domain}, nil
	}))
	f.handle("DELETE "+domains+"/{domain}", f.withDomain(func(_ *http.Request, d *Domain) (int, any, error) {
		f.unassign(d.URN())
		f.account.Domains = slices.DeleteFunc(f.account.Domains, func(o *Domain) bool { return o.Name == d.Name })
		return http.StatusNoContent, nil, nil
	}))

	const records = domains + "/{domain}/records"
	f.handle("GET "+records, f.withDomain(func(r *http.Request, d *Domain) (int, any, error) {
		// Names are asked for in full, and listed without the domain.
		kind, name := r.URL.Query().Get("type"), r.URL.Query().Get("name")
		body, err := page(r, "domain_records", filter(d.Records, func(one *godo.DomainRecord) bool {
			full := one.Name + "." + d.Name
			if one.Name == "@" {
				full = d.Name
			}
			return (kind == "" || kind == one.Type) && (name == "" || name == full)
		}))
		return http.StatusOK, body, err
	}))
	f.handle("POST "+records, f.withDomain(func(r *http.Request, d *Domain) (int, any, error) {
		var request godo.DomainRecordEditRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		if request.Type == "" || request.Name == "" || request.Data == "" {
			return 0, nil, unprocessable("Type, name and data are required")
		}
		record := &godo.DomainRecord{ID: f.account.number(), Type: request.Type, TTL: standardTTL}
		edit(record, &request)
		d.Records = append(d.Records, record)
		return http.StatusCreated, map[string]any{"domain_record": record}, nil
	}))
	f.handle("GET "+records+"/{record}", f.withRecord(func(_ *http.Request, _ *Domain, record *godo.DomainRecord) (int, any, error) {
		return http.StatusOK, map[string]any{"domain_record": record}, nil
	}))
	change := f.withRecord(func(r *http.Request, _ *Domain, record *godo.DomainRecord) (int, any, error) {
		var request godo.DomainRecordEditRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		edit(record, &request)
		return http.StatusOK, map[string]any{"domain_record": record}, nil
	})
	f.handle("PUT "+records+"/{record}", change)
	f.handle("PATCH "+records+"/{record}", change)
	f.handle("DELETE "+records+"/{record}", f.withRecord(func(_ *http.Request, d *Domain, record *godo.DomainRecord) (int, any, error) {
		d.Records = slices.DeleteFunc(d.Records, func(o *godo.DomainRecord) bool { return o.ID == record.ID })
		return http.StatusNoContent, nil, nil
	}))
}

func edit(record *godo.DomainRecord, request *godo.DomainRecordEditRequest) {
	record.Name = orElse(request.Name, record.Name)
	record.Data = orElse(request.Data, record.Data)
	record.Priority, record.Port, record.Weight, record.Flags = request.Priority, request.Port, request.Weight, request.Flags
	record.Tag = request.Tag
	if request.TTL > 0 {
		record.TTL = request.TTL
	}
}

func (f *Fake) withDomain(work func(*http.Request, *Domain) (int, any, error)) endpoint {
	return with(func(r *http.Request) (*Domain, error) {
		return find(f.account.Domains, func(d *Domain) bool { return d.Name == r.PathValue("domain") })
	}, work)
}

func (f *Fake) withRecord(work func(*http.Request, *Domain, *godo.DomainRecord) (int, any, error)) endpoint {
	return f.withDomain(func(r *http.Request, d *Domain) (int, any, error) {
		id, err := strconv.Atoi(r.PathValue("record"))
		if err != nil {
			return 0, nil, errNotFound
		}
		record, err := find(d.Records, func(one *godo.DomainRecord) bool { return one.ID == id })
		if err != nil {
			return 0, nil, err
		}
		return work(r, d, record)
	})
}

package realworld_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// specification is the OpenAPI document of the RealWorld API, MIT-licensed, in
// testdata/openapi.yml.
var specification = loadSpecification("testdata/openapi.yml")

// A document is an OpenAPI document, of which this understands as much as the
// one at hand uses.
type document map[string]any

func loadSpecification(path string) document {
	content, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	var d document
	if err := yaml.Unmarshal(content, &d); err != nil {
		panic(err)
	}
	return d
}

// anywhere are statuses that any request may get and the document leaves out.
var anywhere = []int{http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable}

// check returns how a response differs from what the document promises. Paths
// that it does not know are not checked.
func (d document) check(method, path string, status int, body []byte) error {
	operation := d.operation(method, path)
	if operation == nil || slices.Contains(anywhere, status) {
		return nil
	}
	responses := operation["responses"].(map[string]any)
	response, ok := responses[fmt.Sprint(status)].(map[string]any)
	if !ok {
		// The document forgets that a token that is not good can be sent to
		// read one article too, and that a change can ask for a taken name.
		if status == http.StatusUnauthorized || status == http.StatusConflict && method == http.MethodPut {
			return nil
		}
		return fmt.Errorf("status %d is not one of the operation's", status)
	}
	content, _ := d.resolve(response)["content"].(map[string]any)
	media, ok := content["application/json"].(map[string]any)
	if !ok {
		if len(body) > 0 {
			return fmt.Errorf("a body where none belongs")
		}
		return nil
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err
	}
	return d.conforms("response", value, media["schema"].(map[string]any))
}

func (d document) operation(method, path string) map[string]any {
	path, ok := strings.CutPrefix(strings.TrimSuffix(path, "/"), "/api")
	if !ok {
		return nil
	}
	var found map[string]any
	for template, item := range d["paths"].(map[string]any) {
		if template == path {
			found = item.(map[string]any)
			break
		}
		parts, wanted := strings.Split(path, "/"), strings.Split(template, "/")
		if len(parts) != len(wanted) || slices.ContainsFunc(wanted, func(part string) bool {
			return !strings.HasPrefix(part, "{") && !slices.Contains(parts, part)
		}) {
			continue
		}
		found = item.(map[string]any)
	}
	operation, _ := found[strings.ToLower(method)].(map[string]any)
	return operation
}

// resolve follows a reference within the document.
func (d document) resolve(node map[string]any) map[string]any {
	reference, ok := node["$ref"].(string)
	if !ok {
		return node
	}
	target := map[string]any(d)
	for part := range strings.SplitSeq(strings.TrimPrefix(reference, "#/"), "/") {
		target = target[part].(map[string]any)
	}
	return d.resolve(target)
}

// conforms compares a value with a schema. It is stricter than OpenAPI in that
// properties the schema does not name may not be there.
func (d document) conforms(path string, value any, schema map[string]any) error {
	schema = d.resolve(schema)
	types, ok := schema["type"].([]any)
	if !ok {
		types = []any{schema["type"]}
	}
	if kind := jsonType(value); !slices.Contains(types, any(kind)) {
		return fmt.Errorf("%s is of type %s, not %v", path, kind, types)
	}
	switch value := value.(type) {
	case map[string]any:
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := value[name.(string)]; !ok {
				return fmt.Errorf("%s has no %s", path, name)
			}
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, member := range value {
			property, ok := properties[name].(map[string]any)
			if !ok {
				property, ok = schema["additionalProperties"].(map[string]any)
			}
			if !ok {
				return fmt.Errorf("%s has %s, which the schema does not name", path, name)
			}
			if err := d.conforms(path+"."+name, member, property); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range value {
			if err := d.conforms(fmt.Sprintf("%s[%d]", path, i), item, schema["items"].(map[string]any)); err != nil {
				return err
			}
		}
	}
	return nil
}

func jsonType(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if value == float64(int64(value)) {
			return "integer"
		}
		return "number"
	}
	return fmt.Sprintf("%T", value)
}

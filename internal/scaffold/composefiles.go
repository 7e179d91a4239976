package scaffold

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v3"
)

// composeFile is a file of Compose.
type composeFile struct {
	name string
	text []byte
	// services are what it has below that key.
	services map[string]any
}

// composeFiles returns the file that describes the application, and that for
// production laid over it; or the latter alone, where it describes all by itself.
func (f folder) composeFiles() ([]composeFile, error) {
	var files []composeFile
	for _, names := range [][]string{
		{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"},
		{"compose.prod.yaml", "compose.prod.yml", "compose.production.yaml", "compose.production.yml", "docker-compose.prod.yaml", "docker-compose.prod.yml",
			"docker-compose.production.yaml", "docker-compose.production.yml", "production.yml"},
	} {
		name, text, err := f.source(names...)
		if err != nil {
			return nil, err
		}
		var model struct{ Services map[string]any }
		if name == "" || yaml.Unmarshal(text, &model) != nil && len(files) > 0 {
			continue
		}
		files = append(files, composeFile{name, text, model.Services})
	}
	if len(files) < 2 {
		if len(files) == 1 && files[0].name == "production.yml" && files[0].services == nil {
			return nil, nil // another tool's
		}
		return files, nil
	}
	whole := len(files[1].services) >= len(files[0].services)
	for _, service := range files[1].services {
		keys, _ := service.(map[string]any)
		whole = whole && (hasKey(keys, "image") || hasKey(keys, "build") || hasKey(keys, "extends"))
	}
	if whole || len(files[1].services) == 0 {
		return files[1:], nil
	}
	return files, nil
}

// loadCompose reads the services of compose files. Variables take their
// defaults, as neither the owner's shell nor .env may have a say in what is
// written; those of the services' own environment stay as they are written.
func loadCompose(dir string, files []composeFile, project string) (loaded *types.Project, err error) {
	logrus.SetOutput(io.Discard) // the loader warns of what is only old-fashioned
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("it cannot be understood: %v", problem)
		}
	}()
	var configs []types.ConfigFile
	for _, file := range files {
		var model map[string]any
		if err := yaml.Unmarshal(file.text, &model); err != nil {
			return nil, err
		}
		delete(model, "version")
		all, ok := model["services"].(map[string]any)
		if !ok && !hasKey(model, "include") {
			return nil, errors.New("it has no services: in files of version 1, they have to be put below the key services")
		}
		for _, service := range all {
			if service, ok := service.(map[string]any); ok {
				keepVariables(service["environment"])
			}
		}
		configs = append(configs, types.ConfigFile{Filename: filepath.Join(dir, file.name), Content: file.text, Config: model})
	}
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: configs,
		Environment: types.Mapping{},
	}, func(o *loader.Options) {
		o.SetProjectName(project, false) // where the file has no name
		o.SkipConsistencyCheck = true
		o.SkipResolveEnvironment = true
		o.SkipResolveLabels = true
		o.ResolvePaths = false
		o.Profiles = []string{"*"}
		o.Interpolate.Substitute = func(text string, mapping template.Mapping) (string, error) {
			text, err := template.SubstituteWithOptions(text, mapping, template.WithoutLogging)
			if missing := new(template.MissingRequiredError); errors.As(err, &missing) {
				err = nil
			}
			return text, err
		}
	})
}

// keepVariables writes the dollars of an environment so that they stay.
func keepVariables(environment any) {
	switch environment := environment.(type) {
	case map[string]any:
		for name, value := range environment {
			if text, ok := value.(string); ok {
				environment[name] = strings.ReplaceAll(text, "$", "$$")
			}
		}
	case []any:
		for i, value := range environment {
			if text, ok := value.(string); ok {
				environment[i] = strings.ReplaceAll(text, "$", "$$")
			}
		}
	}
}

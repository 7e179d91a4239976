package scaffold

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// takeFiles takes volumes. What is mounted from the folder itself is there for
// development, unless its name says that it holds data.
func (c *compose) takeFiles(name string, s types.ServiceConfig) {
	var tmpfs []string
	for _, v := range s.Volumes {
		switch {
		case v.Type == types.VolumeTypeTmpfs:
			tmpfs = append(tmpfs, v.Target)
		case v.Type == types.VolumeTypeVolume && v.Source != "":
			c.addVolume(v.Source, v.Target)
		case v.Type == types.VolumeTypeVolume:
			// One without a name lasts as long as its container: mostly it keeps what
			// the image has (node_modules) from a bind mount. Here it would begin empty.
			if dataFolder.MatchString(v.Target) {
				c.addVolume(path.Base(v.Target), v.Target)
			} else {
				c.note(c.file, "service %s: the volume at %s has no name and is left out, because it would hide the image's files", name, v.Target)
			}
		case strings.HasSuffix(v.Source, "docker.sock"):
			c.note(c.file, "service %s: %s: there is no Docker to talk to", name, v.Source)
		case v.Type == types.VolumeTypeBind && dataFolder.MatchString(v.Source):
			c.addVolume(path.Base(v.Source), v.Target)
			c.note(c.file, "service %s: %s becomes a volume, which begins empty", name, v.Source)
		case v.Type == types.VolumeTypeBind:
			c.notMounted(name, v)
		default:
			c.note(c.file, "service %s: %s: there are no mounts of type %s", name, v.Target, v.Type)
		}
	}
	for _, entry := range s.Tmpfs {
		at, _, _ := strings.Cut(entry, ":")
		tmpfs = append(tmpfs, at)
	}
	if s.ReadOnly && name == c.main {
		c.Writable = tmpfs
	}
}

var dataFolder = regexp.MustCompile(`(?i)(^|[/_-])(data|uploads?|media|storage|files|attachments)$`)

// notMounted says why a file or folder is not there, in the words of what it is.
func (c *compose) notMounted(name string, v types.ServiceVolumeConfig) {
	inside := path.Clean(v.Source)
	switch {
	case path.IsAbs(v.Source) || strings.HasPrefix(v.Source, "~") || strings.HasPrefix(inside, ".."):
		c.mounts = append(c.mounts, mount{name, v.Source + " is outside of this folder, and pods get no files of the machine"})
	case strings.HasPrefix(path.Base(inside), ".env"):
		c.mounts = append(c.mounts, mount{name, v.Source + " is not mounted: what is in it comes as environment variables, from .env"})
	case c.docker.base != "" && !c.docker.filled:
		c.mounts = append(c.mounts, mount{name, fmt.Sprintf("%s is not mounted at %s, and the Dockerfile copies nothing: add COPY %s %s to it", v.Source, v.Target, inside, v.Target)})
	default:
		c.mounts = append(c.mounts, mount{name, fmt.Sprintf("%s is not mounted at %s: the image holds the application's files", v.Source, v.Target)})
	}
}

// mount is what is said of one that a service does not have.
type mount struct{ service, text string }

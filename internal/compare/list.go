package compare

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// listKeys are the sets of fields that tell the elements of a list apart, the
// first one that fits. They are the merge keys of Kubernetes' own kinds.
func listKeys() [][]string {
	return [][]string{
		{"name"}, {"containerPort", "protocol"}, {"port", "protocol"}, {"mountPath"}, {"devicePath"},
		{"topologyKey", "whenUnsatisfiable"}, {"key", "operator", "effect"}, {"key"}, {"ip"}, {"type"}, {"host"}, {"path"}, {"kind", "namespace"},
	}
}

// unordered are the lists in which Kubernetes does not care about order.
func unordered() []string {
	return []string{
		"containers", "ephemeralContainers", "env", "ports", "volumes", "volumeMounts", "volumeDevices", "imagePullSecrets",
		"secrets", "hostAliases", "subjects", "tolerations", "topologySpreadConstraints", "sysctls", "resourceClaims",
	}
}

func (c *comparison) lists(path string, before, after []any) {
	if reflect.DeepEqual(before, after) {
		return
	}
	for _, keys := range listKeys() {
		was, fits := keyed(before, keys)
		is, alsoFits := keyed(after, keys)
		if fits && alsoFits {
			c.keyedLists(path, was, is)
			return
		}
	}
	c.plainLists(path, before, after)
}

// keyedList is a list whose elements have names of their own.
type keyedList struct {
	names    []string // name=app
	elements map[string]map[string]any
}

// keyed fits where each element is an object that has at least the first of keys,
// and no two have the same.
func keyed(list []any, keys []string) (keyedList, bool) {
	k := keyedList{elements: map[string]map[string]any{}}
	for _, element := range list {
		object, ok := element.(map[string]any)
		if !ok {
			return keyedList{}, false
		}
		var parts []string
		for i, key := range keys {
			value := object[key]
			switch value.(type) {
			case string, int64, float64, bool:
				parts = append(parts, fmt.Sprintf("%s=%v", key, value))
			default:
				if i == 0 || value != nil {
					return keyedList{}, false
				}
			}
		}
		name := strings.Join(parts, ",")
		if k.elements[name] != nil {
			return keyedList{}, false
		}
		k.names = append(k.names, name)
		k.elements[name] = object
	}
	return k, true
}

func (c *comparison) keyedLists(path string, before, after keyedList) {
	for _, name := range before.names {
		if after.elements[name] == nil {
			c.note(element(path, name), before.elements[name], nil)
			continue
		}
		c.maps(element(path, name), before.elements[name], after.elements[name])
	}
	for _, name := range after.names {
		if before.elements[name] == nil {
			c.note(element(path, name), nil, after.elements[name])
		}
	}
	was, is := common(before, after), common(after, before)
	field := path[strings.LastIndexByte(path, '.')+1:]
	if !slices.Equal(was, is) && (!slices.Contains(unordered(), field) || field == "env" && after.refers()) {
		c.note(path+" (order)", strings.Join(was, " "), strings.Join(is, " "))
	}
}

// refers says that an environment variable may name another, $(LIKE_THIS), which
// counts only if the other comes before it.
func (k keyedList) refers() bool {
	for _, element := range k.elements {
		if value, ok := element["value"].(string); ok && strings.Contains(value, "$(") {
			return true
		}
	}
	return false
}

// common are the names of a that b has too.
func common(a, b keyedList) []string {
	return slices.DeleteFunc(slices.Clone(a.names), func(name string) bool { return b.elements[name] == nil })
}

// plainLists leaves out what is the same at both ends, and matches the rest by place.
func (c *comparison) plainLists(path string, before, after []any) {
	start := 0
	for start < min(len(before), len(after)) && reflect.DeepEqual(before[start], after[start]) {
		start++
	}
	end := 0
	for end < min(len(before), len(after))-start && reflect.DeepEqual(before[len(before)-1-end], after[len(after)-1-end]) {
		end++
	}
	was, is := before[start:len(before)-end], after[start:len(after)-end]
	for i := range max(len(was), len(is)) {
		at := element(path, strconv.Itoa(start+i))
		switch {
		case i >= len(is):
			c.note(at, was[i], nil)
		case i >= len(was):
			c.note(at, nil, is[i])
		default:
			c.values(at, was[i], is[i])
		}
	}
}

var plainKey = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_-]*$`)

func child(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

func element(path, name string) string { return path + "[" + name + "]" }

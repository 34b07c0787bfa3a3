package automator

import (
	"fmt"
	"slices"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/edit"
	"sealift.dev/automator/flux"
	"sealift.dev/internal/text"
)

// addFlux adds the images of Flux's documents that sealift.yaml does not name itself, and what
// the automations of the branch say of commits, where sealift.yaml says nothing.
func (s *settings) addFlux(found flux.Found, branch string) []Note {
	var notes []Note
	for _, n := range found.Notes {
		reason := n.Reason
		if n.Object != "" {
			reason = n.Object + ": " + reason
		}
		notes = append(notes, Note{File: n.File, Reason: reason})
	}
	automations, theirs := ofBranch(found.Automations, branch)
	notes = append(notes, theirs...)
	for _, img := range found.Images {
		if s.find(img.Namespace+":"+img.Name) >= 0 {
			continue
		}
		added, err := parseFollowed(img.Image)
		switch {
		case err != nil:
			notes = append(notes, Note{File: img.File, Image: img.Namespace + ":" + img.Name, Reason: err.Error()})
			continue
		case img.Suspended:
			notes = append(notes, Note{File: img.File, Image: added.policy, Reason: "it is suspended"})
			continue
		case len(s.images) >= maxImages:
			return append(notes, Note{File: img.File, Reason: fmt.Sprintf("there are more than %d images", maxImages)})
		}
		added.source = img.File
		if len(found.Automations) > 0 {
			added.writes = func(path string) bool {
				return slices.ContainsFunc(automations, func(a flux.Automation) bool { return a.Writes(img, path) })
			}
		}
		s.images = append(s.images, added)
	}
	if len(automations) > 0 {
		s.addWriting(automations[0])
	}
	return notes
}

// ofBranch are the automations that write what is read from a branch.
func ofBranch(all []flux.Automation, branch string) ([]flux.Automation, []Note) {
	var active []flux.Automation
	var notes []Note
	for _, a := range all {
		switch {
		case a.Suspended:
			notes = append(notes, Note{File: a.File, Reason: fmt.Sprintf("ImageUpdateAutomation %s/%s is suspended", a.Namespace, a.Name)})
		case a.Branch != "" && a.Branch != branch:
			notes = append(notes, Note{File: a.File, Reason: fmt.Sprintf("ImageUpdateAutomation %s/%s is for branch %s", a.Namespace, a.Name, a.Branch)})
		default:
			active = append(active, a)
		}
	}
	return active, notes
}

// addWriting takes over how one automation commits and pushes.
func (s *settings) addWriting(a flux.Automation) {
	if s.push.Branch == "" && s.pulls == nil && a.PushBranch != "" && checkPush(v1alpha1.AutomatePush{Branch: a.PushBranch}) == nil {
		s.push.Branch = a.PushBranch
	}
	if len(s.push.Options) == 0 {
		s.push.Options = a.PushOptions
		if checkPush(s.push) != nil {
			s.push.Options = nil
		}
	}
	if s.author == (Author{}) && a.Author != nil {
		if author := Author(*a.Author); author.check() == nil {
			s.author = author
		}
	}
	if s.message == nil && a.Message != "" {
		s.automation = &a
	}
}

// targets are those of all images.
func (s *settings) targets() []edit.Target {
	var all []edit.Target
	for _, img := range s.images {
		all = append(all, img.targets...)
	}
	return all
}

// fluxMessage is what Flux's template makes of the changes; a note says why it makes nothing.
func (t *turn) fluxMessage(a flux.Automation, changes []Change) (message, note string) {
	told := make([]flux.Change, 0, len(changes))
	objects := map[string]func(line int) flux.Object{}
	for _, c := range changes {
		if objects[c.File] == nil {
			objects[c.File] = flux.ObjectsOf(t.reading.files[c.File].Data())
		}
		repo := c.Image
		if i := t.settings.find(c.Image); i >= 0 {
			repo = t.settings.images[i].Image.Image
		}
		setter := c.Image
		if c.Part != string(edit.Ref) {
			setter += ":" + c.Part
		}
		told = append(told, flux.Change{
			File: c.File, Object: objects[c.File](c.Line), OldValue: c.Old, NewValue: c.New,
			Setter: setter, Image: flux.ImageRef{Ref: repo + ":" + c.Tag, Tag: c.Tag, NamespacedPolicy: c.Image},
		})
	}
	message, err := a.Render(told)
	if err != nil {
		return "", fmt.Sprintf("the message template of ImageUpdateAutomation %s/%s: %v", a.Namespace, a.Name, err)
	}
	return text.Lines(message), ""
}

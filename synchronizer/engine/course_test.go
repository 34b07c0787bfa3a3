package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func annotated(annotations ...string) *unstructured.Unstructured {
	held := map[string]any{}
	for i := 0; i < len(annotations); i += 2 {
		held[annotations[i]] = annotations[i+1]
	}
	return &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"annotations": held}}}
}

func TestReadCourse(t *testing.T) {
	const theirs = "argocd.argoproj.io/"
	for _, test := range []struct {
		annotations []string
		want        string // of the course, or in the error
		refused     bool
	}{
		{nil, "{0 []  {false false} []}", false},
		{[]string{theirs + "sync-wave", "-5"}, "{-5 []  {false false} []}", false},
		{[]string{theirs + "sync-wave", "5", "sealift.dev/wave", " 7 "}, "{7 []  {false false} []}", false},
		{[]string{"sealift.dev/wave", "1000"}, "{1000 []  {false false} []}", false},
		{[]string{"sealift.dev/wave", "1001"}, `sealift.dev/wave: "1001"`, true},
		{[]string{theirs + "sync-wave", "1.5"}, `sync-wave: "1.5"`, true},
		{[]string{theirs + "hook", "PostSync, PreSync,PreSync"}, "{0 [PreSync PostSync]  {false false} []}", false},
		{[]string{"sealift.dev/hook", "syncfail", theirs + "hook", "Sync"}, "{0 [SyncFail]  {false false} []}", false},
		{[]string{theirs + "hook", "Skip"}, "{0 [] argocd.argoproj.io/hook: Skip {false false} []}", false},
		{[]string{theirs + "hook", "PostDelete"}, "{0 [] argocd.argoproj.io/hook: PostDelete {false false} []}", false},
		{[]string{theirs + "hook", "Before"}, `hook: "Before"`, true},
		{[]string{theirs + "hook", "Sync", theirs + "hook-delete-policy", "HookSucceeded,BeforeHookCreation"}, "{0 [Sync]  {true false} []}", false},
		{[]string{theirs + "hook", "Sync", "sealift.dev/hook-delete", "HookFailed"}, "{0 [Sync]  {false true} []}", false},
		{[]string{theirs + "hook", "Sync", "sealift.dev/hook-delete", "Never"}, `"Never"`, true},
		{[]string{afterAnnotation, "apps/namespaces/shop/Deployment/db, /Namespace/shop"}, "{0 []  {false false} [{apps Deployment shop db} { Namespace  shop}]}", false},
		{[]string{afterAnnotation, "apps/namespaces/shop/Deployment"}, `"apps/namespaces/shop/Deployment"`, true},
		{[]string{afterAnnotation, "apps//db"}, `"apps//db"`, true},
		{[]string{afterAnnotation, "/Namespace/a,"}, `""`, true},
		{[]string{afterAnnotation, strings.TrimSuffix(strings.Repeat("/Namespace/a,", 65), ",")}, "names 65 objects", true},
	} {
		t.Run(fmt.Sprint(test.annotations), func(t *testing.T) {
			c, err := readCourse(annotated(test.annotations...))
			switch {
			case test.refused && (!errors.Is(err, ErrInvalidTarget) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("the error is %v", err)
			case !test.refused && (err != nil || fmt.Sprint(c) != test.want):
				t.Errorf("%v, %v", c, err)
			}
		})
	}
}

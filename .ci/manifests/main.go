// Command manifests decodes Kubernetes manifests into the types of Kubernetes
// itself and refuses every field that these do not have. It is a module of its
// own, so that Kubernetes stays out of the gateway's.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		n, err := check(path)
		if err != nil {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			continue
		}
		fmt.Printf("%s: %d objects\n", path, n)
	}
	if failed || len(os.Args) < 2 {
		os.Exit(1)
	}
}

func check(path string) (objects int, _ error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	defer documents.Close()
	var faults []error
	for buffer := make([]byte, 1<<20); ; {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		objects++
		faults = append(faults, decode(buffer[:n]))
	}
	if objects == 0 {
		faults = append(faults, errors.New("no object"))
	}
	return objects, errors.Join(faults...)
}

func decode(document []byte) error {
	var kind metav1.TypeMeta
	if err := strict.Unmarshal(document, &kind); err != nil {
		return err
	}
	var object metav1.Object
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 ConfigMap":
		object = new(corev1.ConfigMap)
	case "v1 Service":
		object = new(corev1.Service)
	case "apps/v1 Deployment":
		object = new(appsv1.Deployment)
	case "policy/v1 PodDisruptionBudget":
		object = new(policyv1.PodDisruptionBudget)
	case "networking.k8s.io/v1 NetworkPolicy":
		object = new(networkingv1.NetworkPolicy)
	default:
		return fmt.Errorf("%s %s: not a kind that is checked", kind.APIVersion, kind.Kind)
	}
	if err := strict.UnmarshalStrict(document, object); err != nil {
		return fmt.Errorf("%s: %w", kind.Kind, err)
	}
	if object.GetName() == "" {
		return fmt.Errorf("%s: no name", kind.Kind)
	}
	return nil
}

// Command verify reads assertions from standard input, a line each, and prints whose
// they are.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// docs:assertion-go:begin
// claims is who the gateway says the user is.
type claims struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
	jwt.RegisteredClaims
}

// claimsOf is an error for what the gateway did not say. The keys are those of
// jwkset.NewDefaultHTTPClient([]string{jwksURL}).
func claimsOf(ctx context.Context, keys jwkset.Storage, assertion string) (*claims, error) {
	c := new(claims)
	_, err := jwt.ParseWithClaims(assertion, c, func(t *jwt.Token) (any, error) {
		if t.Header["typ"] != "gatehouse-assertion+jwt" {
			return nil, errors.New("not an assertion")
		}
		id, _ := t.Header["kid"].(string)
		key, err := keys.KeyRead(ctx, id)
		if err != nil {
			return nil, err
		}
		return key.Key(), nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience("app"), jwt.WithIssuer("gatehouse"), jwt.WithExpirationRequired())
	return c, err
}

// docs:assertion-go:end

func main() {
	keys, err := jwkset.NewDefaultHTTPClient([]string{os.Getenv("JWKS_URL")})
	if err != nil {
		log.Fatal(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		c, err := claimsOf(context.Background(), keys, lines.Text())
		if err != nil {
			fmt.Println("refused:", err)
			continue
		}
		fmt.Println(c.Subject, c.Username, strings.Join(c.Groups, ","))
	}
}

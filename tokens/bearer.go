package tokens

import (
	"context"
	"slices"

	"gatehouse/tokens/drf"
)

// accepted returns the types of tokens that open routes.
func (c SimpleJWT) accepted() []tokenClass {
	classes := make([]tokenClass, 0, len(c.AcceptedTypes))
	for _, word := range c.AcceptedTypes {
		if class, known := classOf(word); known {
			classes = append(classes, class)
		}
	}
	return classes
}

// checkClass refuses claims that are of no type that opens routes. Each type says
// what it finds: one whose tokens can be revoked, that first.
func (v *Verifier) checkClass(ctx context.Context, claims drf.Object) error {
	if v.opens(claims) {
		return nil
	}
	revoked := false
	if slices.ContainsFunc(v.classes, func(c tokenClass) bool { return c.revocable }) && v.ownStore {
		var err error
		if revoked, err = v.revoked(ctx, claims); err != nil {
			return err
		}
	}
	return v.rejectEach(func(c tokenClass) string {
		if c.revocable && revoked {
			return textBlacklisted
		}
		return v.cfg.checkToken(claims, c.kind)
	})
}

// opens tells whether claims are those of a token of a type that opens routes.
func (v *Verifier) opens(claims drf.Object) bool {
	return slices.ContainsFunc(v.classes, func(c tokenClass) bool { return v.cfg.checkToken(claims, c.kind) == "" })
}

// checkRevoked refuses the claims of a token that was revoked by its id. Access tokens
// cannot be, so most requests ask nothing. SimpleJWT does not look for a token that it
// takes for untyped; here what is revoked opens nothing.
func (v *Verifier) checkRevoked(ctx context.Context, b *bearer) error {
	if b.by != nil || b.isAccess || !v.ownStore {
		return nil
	}
	return v.checkRevokedID(ctx, b.claims, b.id)
}

// isAccess tells whether claims are those of an access token.
func (v *Verifier) isAccess(claims drf.Object) bool {
	return v.cfg.typeClaim() != "" && text(claims, v.cfg.TokenTypeClaim) == typeAccess
}

func (v *Verifier) checkRevokedID(ctx context.Context, claims drf.Object, id string) error {
	// It has an id: of no type that opens routes would it be else.
	revoked, err := v.store.LiveRevoked(ctx, id)
	if err != nil {
		return err
	}
	if !revoked {
		return nil
	}
	return v.rejectEach(func(c tokenClass) string {
		if fault := v.cfg.checkToken(claims, c.kind); fault != "" && !c.revocable {
			return fault
		}
		return textBlacklisted
	})
}

// revoked asks the store itself whether a token was revoked by its id.
func (v *Verifier) revoked(ctx context.Context, claims drf.Object) (bool, error) {
	id, there := v.knownID(claims)
	if !there {
		return false, nil
	}
	return v.store.Revoked(ctx, id)
}

// knownID is idOf, and whether there is one.
func (v *Verifier) knownID(claims drf.Object) (id string, there bool) {
	_, there = claims.Get(v.cfg.idClaim())
	return v.idOf(claims), there || v.cfg.JTIClaim == none
}

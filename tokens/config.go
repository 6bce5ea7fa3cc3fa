package tokens

import (
	"time"

	"gatehouse/tokens/keys"
)

// Config is the `tokens` section. The defaults (DefaultConfig) are SimpleJWT's.
type Config struct {
	BasePath        string        `mapstructure:"base_path"`
	Issuer          string        `mapstructure:"issuer"`
	Audience        []string      `mapstructure:"audience"`
	AccessLifetime  time.Duration `mapstructure:"access_lifetime"`
	RefreshLifetime time.Duration `mapstructure:"refresh_lifetime"`
	Leeway          time.Duration `mapstructure:"leeway"`
	Keys            []keys.Config `mapstructure:"keys"`
}

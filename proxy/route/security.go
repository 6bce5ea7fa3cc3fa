package route

// SecurityHeaders tell browsers to be careful with answers (`security_headers`, under
// server and on routes). Each is sent as it is written; the word off is not at all;
// what is not said is as the server says, and then as the preset.
type SecurityHeaders struct {
	// Preset is off or basic: hsts "max-age=31536000", content_type_options nosniff,
	// frame_options SAMEORIGIN, referrer_policy strict-origin-when-cross-origin.
	// Default: that of the server, whose default is off.
	Preset string `mapstructure:"preset"`

	// HSTS is Strict-Transport-Security, sent where the client speaks https. Danger:
	// browsers then refuse http for this host for so long, also after it is taken away.
	HSTS string `mapstructure:"hsts"`

	// ContentTypeOptions is X-Content-Type-Options.
	ContentTypeOptions string `mapstructure:"content_type_options"`

	// FrameOptions is X-Frame-Options: who may show the page in a frame.
	FrameOptions string `mapstructure:"frame_options"`

	// ReferrerPolicy is Referrer-Policy.
	ReferrerPolicy string `mapstructure:"referrer_policy"`

	// ContentSecurityPolicy is Content-Security-Policy. It is in no preset: it belongs to
	// the application.
	ContentSecurityPolicy string `mapstructure:"content_security_policy"`

	// PermissionsPolicy is Permissions-Policy.
	PermissionsPolicy string `mapstructure:"permissions_policy"`

	// Override replaces what the backend sends under these names. Default false: the
	// backend knows better.
	Override *bool `mapstructure:"override"`
}

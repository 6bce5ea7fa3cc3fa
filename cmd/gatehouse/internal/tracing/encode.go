package tracing

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resources "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// encode makes an ExportTraceServiceRequest of OTLP. All spans are of one resource and
// one scope: ours.
func encode(batch []sdk.ReadOnlySpan) ([]byte, error) {
	spans := make([]*traces.Span, len(batch))
	for i, span := range batch {
		spans[i] = spanOf(span)
	}
	return proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: []*traces.ResourceSpans{{
		Resource:   &resources.Resource{Attributes: attributesOf(batch[0].Resource().Attributes())},
		ScopeSpans: []*traces.ScopeSpans{{Scope: &common.InstrumentationScope{Name: "gatehouse"}, Spans: spans}},
	}}})
}

func spanOf(s sdk.ReadOnlySpan) *traces.Span {
	id, trace := s.SpanContext().SpanID(), s.SpanContext().TraceID()
	out := &traces.Span{
		TraceId: trace[:], SpanId: id[:], TraceState: s.SpanContext().TraceState().String(),
		Flags: uint32(s.SpanContext().TraceFlags()),
		Name:  s.Name(), Kind: traces.Span_SpanKind(s.SpanKind()), //nolint:gosec // the same small numbers
		StartTimeUnixNano: nanoseconds(s.StartTime()), EndTimeUnixNano: nanoseconds(s.EndTime()),
		Attributes:             attributesOf(s.Attributes()),
		DroppedAttributesCount: uint32(max(s.DroppedAttributes(), 0)), //nolint:gosec // a few
	}
	if parent := s.Parent(); parent.SpanID().IsValid() {
		id := parent.SpanID()
		out.ParentSpanId = id[:]
	}
	switch s.Status().Code {
	case codes.Error:
		out.Status = &traces.Status{Code: traces.Status_STATUS_CODE_ERROR, Message: s.Status().Description}
	case codes.Ok:
		out.Status = &traces.Status{Code: traces.Status_STATUS_CODE_OK}
	case codes.Unset:
	}
	return out
}

func nanoseconds(t time.Time) uint64 {
	return uint64(max(t.UnixNano(), 0))
}

func attributesOf(list []attribute.KeyValue) []*common.KeyValue {
	out := make([]*common.KeyValue, len(list))
	for i, kv := range list {
		value := &common.AnyValue{}
		switch kv.Value.Type() {
		case attribute.BOOL:
			value.Value = &common.AnyValue_BoolValue{BoolValue: kv.Value.AsBool()}
		case attribute.INT64:
			value.Value = &common.AnyValue_IntValue{IntValue: kv.Value.AsInt64()}
		case attribute.FLOAT64:
			value.Value = &common.AnyValue_DoubleValue{DoubleValue: kv.Value.AsFloat64()}
		default:
			value.Value = &common.AnyValue_StringValue{StringValue: kv.Value.String()}
		}
		out[i] = &common.KeyValue{Key: string(kv.Key), Value: value}
	}
	return out
}

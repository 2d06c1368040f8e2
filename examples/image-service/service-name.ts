// The name in Jaeger and Prometheus, unless the environment says another.
process.env.OTEL_SERVICE_NAME ??= 'image-service'

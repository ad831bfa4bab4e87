export { type EdgeEndpoint, type EndpointOptions, startEdgeEndpoint } from './edge-endpoint.js';

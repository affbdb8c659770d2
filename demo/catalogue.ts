// A module of its own, so that a page with other models changes this one only.
export { knownModels } from 'nearsight/models';

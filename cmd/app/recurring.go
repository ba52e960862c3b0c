package main

import (
	"fmt"

	files "slipway/config"
	"slipway/internal/jobs"
	"slipway/internal/jobs/recurring"
	"slipway/internal/live"
	"slipway/internal/shop"
	"slipway/internal/storefront"
)

// taskKinds are the kinds of tasks, for who does not run them.
func taskKinds(store *shop.Shop) jobs.Handlers {
	return store.Tasks(storefront.Fragments{}, live.NewPublisher(nil))
}

// recurringWork reads config/recurring.yml as it was when this was built.
func recurringWork(store *shop.Shop) ([]recurring.Task, error) {
	tasks, err := recurring.Parse(files.Recurring, store.Jobs(), taskKinds(store))
	if err != nil {
		return nil, fmt.Errorf("config/recurring.yml: %w", err)
	}
	return tasks, nil
}

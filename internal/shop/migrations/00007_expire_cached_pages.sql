-- +goose Up
-- Pages of the catalogue are cached. Whoever changes what they show, by whatever
-- program, makes them stale when the change commits: the web processes listen to the
-- channel app_edge_purge. Changes of held and sold units are not among them: pages of
-- a running sale are cached for a second only.

-- +goose StatementBegin
CREATE FUNCTION expire_pages_of_product() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('app_edge_purge', format('{"expire":["product:%s"]}', coalesce(to_jsonb(NEW), to_jsonb(OLD))->>TG_ARGV[0]));
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION expire_catalogue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('app_edge_purge', '{"expire":["catalogue"]}');
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION expire_pages_of_sale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('app_edge_purge', format('{"expire":["sales","product:%s"]}', product_id)) FROM variants WHERE id = NEW.variant_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER expire_pages AFTER UPDATE ON variants FOR EACH ROW
    WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION expire_pages_of_product('product_id');
CREATE TRIGGER expire_pages_of_another AFTER INSERT OR DELETE ON variants FOR EACH ROW
    EXECUTE FUNCTION expire_pages_of_product('product_id');
CREATE TRIGGER expire_pages AFTER UPDATE ON products FOR EACH ROW
    WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION expire_pages_of_product('id');
CREATE TRIGGER expire_catalogue AFTER INSERT OR DELETE ON products FOR EACH STATEMENT EXECUTE FUNCTION expire_catalogue();
CREATE TRIGGER expire_catalogue AFTER UPDATE ON categories FOR EACH ROW
    WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION expire_catalogue();
CREATE TRIGGER expire_catalogue_of_another AFTER INSERT OR DELETE ON categories FOR EACH STATEMENT EXECUTE FUNCTION expire_catalogue();
CREATE TRIGGER expire_pages_of_another AFTER INSERT ON flash_sales FOR EACH ROW EXECUTE FUNCTION expire_pages_of_sale();
CREATE TRIGGER expire_pages AFTER UPDATE ON flash_sales FOR EACH ROW
    WHEN ((OLD.price_cents, OLD.units, OLD.starts_at, OLD.ends_at, OLD.opened_at, OLD.ended_at, OLD.closed_at)
        IS DISTINCT FROM (NEW.price_cents, NEW.units, NEW.starts_at, NEW.ends_at, NEW.opened_at, NEW.ended_at, NEW.closed_at))
    EXECUTE FUNCTION expire_pages_of_sale();

-- +goose Down
DROP TRIGGER expire_pages ON flash_sales;
DROP TRIGGER expire_pages_of_another ON flash_sales;
DROP TRIGGER expire_catalogue_of_another ON categories;
DROP TRIGGER expire_catalogue ON categories;
DROP TRIGGER expire_catalogue ON products;
DROP TRIGGER expire_pages ON products;
DROP TRIGGER expire_pages_of_another ON variants;
DROP TRIGGER expire_pages ON variants;
DROP FUNCTION expire_pages_of_sale;
DROP FUNCTION expire_catalogue;
DROP FUNCTION expire_pages_of_product;
